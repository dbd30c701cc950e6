/*
 * The page of the shop.
 *
 * What the customer wants is written down first and sent second. Every change gets a key of its own
 * and waits in the browser's storage until the service has answered for it; the same key goes with
 * every attempt, so the service makes the change once, however often it has to be asked (see
 * change.h). What is shown is the cart as last answered, plus the changes that still wait.
 */
"use strict";

const POLL_MS = 2000;          // how often to look for changes made elsewhere, while visible
const ANSWER_MS_MAX = 8000;    // longer than the service itself waits for its store
const PAUSE_MS_MIN = 500;      // between attempts while something is away; doubles
const PAUSE_MS_MAX = 8000;

const element = (id) => document.getElementById(id);

/* ---- Storage: each waiting change is an entry of its own, so tabs never overwrite each other --- */

const WAITING = "cart.change.";
const LAST_CART = "cart.last";

const storage = (() => {
    try {
        localStorage.setItem("cart.probe", "1");
        localStorage.removeItem("cart.probe");
        return localStorage;
    } catch {
        const entries = new Map(); // switched off in this browser: then for as long as the page is open
        return {
            get length() { return entries.size; },
            key: (i) => [...entries.keys()][i] ?? null,
            getItem: (name) => entries.get(name) ?? null,
            setItem: (name, text) => void entries.set(name, text),
            removeItem: (name) => void entries.delete(name),
        };
    }
})();

function load(name) {
    try {
        return JSON.parse(storage.getItem(name));
    } catch {
        return null;
    }
}

const save = (name, value) => storage.setItem(name, JSON.stringify(value));

let lastStamp = 0;

function newEntryName() {
    lastStamp = Math.max(Date.now(), lastStamp + 1); // sorted by time, also within a millisecond
    return `${WAITING}${String(lastStamp).padStart(15, "0")}.${randomHex(4)}`;
}

/** The changes that wait, oldest first, as [name of the entry, change]. */
function waiting() {
    const names = [];
    for (let i = 0; i < storage.length; i++) {
        const name = storage.key(i);
        if (name?.startsWith(WAITING)) {
            names.push(name);
        }
    }
    return names.sort().map((name) => [name, load(name)]).filter(([, change]) => change);
}

function randomHex(bytes) {
    const random = crypto.getRandomValues(new Uint8Array(bytes));
    return Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A key says which version of the cart the customer had seen, and is otherwise random. */
const newKey = () => `${cart.version}-${randomHex(12)}`;

/* ---- State ----------------------------------------------------------------------------------- */

let catalog = { currency: "EUR", products: [] };
let cart = load(LAST_CART) ?? { version: 0, items: [], quantity_max: 99, served_by: "…" };
let away = null;               // null, or what does not answer: "store" or "shop"
let money = new Intl.NumberFormat(undefined, { style: "currency", currency: catalog.currency });

const product = (sku) => catalog.products.find((one) => one.sku === sku);
const priceText = (cents) => money.format(cents / 100);

function takeCart(answer) {
    const { version, items, quantity_max, served_by } = answer;
    cart = { version, items, quantity_max, served_by };
    save(LAST_CART, cart);
}

/** Quantities by SKU as the customer should see them, and which SKUs still wait. */
function expectedCart() {
    const quantities = new Map(cart.items.map((item) => [item.sku, item.quantity]));
    const unsaved = new Set();
    for (const [, change] of waiting()) {
        if (change.kind === "add") {
            quantities.set(change.sku, (quantities.get(change.sku) ?? 0) + change.quantity);
        } else if (change.kind === "set") {
            quantities.set(change.sku, change.quantity);
        } else if (change.kind === "remove") {
            quantities.delete(change.sku);
        } else if (change.kind === "clear") {
            quantities.clear();
        }
        unsaved.add(change.sku ?? "");
    }
    return { quantities, unsaved };
}

/* ---- Changes --------------------------------------------------------------------------------- */

const requests = {
    add: (change) => ["POST", "/api/cart/items", { sku: change.sku, quantity: change.quantity }],
    set: (change) => ["PUT", `/api/cart/items/${change.sku}`, { quantity: change.quantity }],
    remove: (change) => ["DELETE", `/api/cart/items/${change.sku}`],
    clear: () => ["DELETE", "/api/cart"],
    checkout: (change) => ["POST", "/api/checkout",
        { version: change.version, ...(change.card && { card: change.card }) }],
};

/** Writes a change down; it is sent as soon as possible. */
function want(change) {
    element("order").hidden = true;
    save(newEntryName(), { ...change, key: newKey(), tried: false });
    render();
    sync();
}

const itemsText = (items) => items.map((item) => `${item.sku}=${item.quantity}`).sort().join();

/**
 * Sends one change. True when it is settled, one way or the other; false when something is away and
 * the change has to wait.
 */
async function send(name, change) {
    const triedBefore = change.tried;
    save(name, { ...change, tried: true }); // before sending: from here on it may have happened
    const [method, path, body] = requests[change.kind](change);
    const answer = await ask(method, path, body, change.key);
    if (!answer) {
        return false;
    }
    const { status, json } = answer;
    if (status === 200) {
        storage.removeItem(name);
        takeCart(json);
        if (change.kind === "checkout") {
            showOrder(json.order_number);
        }
        return true;
    }
    if (json.cart) {
        takeCart(json.cart);
    }
    if (json.error === "key_too_old" && !triedBefore) {
        save(name, { ...change, key: newKey(), tried: false }); // surely not made: a fresh key
        return true;
    }
    if (json.error === "cart_changed" && itemsText(json.cart.items) === change.seen) {
        save(name, { ...change, version: json.cart.version }); // other bookkeeping, same contents
        return true;
    }
    storage.removeItem(name);
    tell(refusalText(json, change));
    return true;
}

function refusalText(json, change) {
    const what = product(change.sku)?.name ?? change.sku;
    switch (json.error) {
    case "quantity_limit":
        return `More than ${cart.quantity_max} of “${what}” do not fit in the cart.`;
    case "key_too_old":
        return `It is not certain whether your earlier change${what ? ` of “${what}”` : ""} was kept. `
            + "Please have a look at the cart.";
    case "cart_changed":
        return "The cart has changed meanwhile. Please have a look and order again.";
    case "payment_declined":
        return "The bank declined the payment. Nothing was bought; try another card.";
    case "cart_empty":
        return "There is nothing in the cart to order.";
    default:
        return `That did not work: ${json.message ?? "the service refused it."}`;
    }
}

/* ---- The service ----------------------------------------------------------------------------- */

/** {status, json}, or null when there is no usable answer; notes who is away. */
async function ask(method, path, body, key) {
    const headers = { "Content-Type": "application/json" };
    if (key) {
        headers["Idempotency-Key"] = key;
    }
    try {
        const response = await fetch(path, {
            method,
            headers: method === "GET" ? {} : headers,
            body: body && JSON.stringify(body),
            signal: AbortSignal.timeout(ANSWER_MS_MAX),
        });
        const json = await response.json();
        if (response.status >= 500 || response.status === 429) {
            away = json.error === "store_away" ? "store" : "shop";
            return null;
        }
        return { status: response.status, json };
    } catch {
        away = "shop"; // no connection, no answer in time, or not the answer of this service
        return null;
    }
}

/* Only one tab at a time sends. Two would do no harm, since keys make changes happen once. */
function alone(work) {
    return navigator.locks ? navigator.locks.request("cart.send", work) : work();
}

async function sendWaiting() {
    for (let entry; (entry = waiting()[0]);) {
        if (!await send(...entry)) {
            return false;
        }
        render();
    }
    return true;
}

async function refresh() {
    const answer = await ask("GET", "/api/cart");
    if (answer?.status === 200) {
        takeCart(answer.json);
    }
    return answer !== null;
}

let cartInView = false;        // then the bar that leads to it would only be in the way
let syncing = false;
let syncAgain = false;
let failures = 0;
let nextSync = 0;              // timer
let nextSyncAt = 0;

/** Sends what waits, reads the cart, and arranges for the next time. */
async function sync() {
    if (syncing) {
        syncAgain = true;
        return;
    }
    syncing = true;
    clearTimeout(nextSync);
    const wasAway = away;
    let well;
    do {
        syncAgain = false;
        well = (waiting().length === 0 || await alone(sendWaiting)) && await refresh();
    } while (well && syncAgain);
    syncing = false;
    failures = well ? 0 : failures + 1;
    if (well) {
        away = null;
        if (wasAway) {
            tell("Back again. Everything is saved.");
        }
    }
    const pause = Math.min(PAUSE_MS_MIN * 2 ** (failures - 1), PAUSE_MS_MAX);
    const wait = well ? POLL_MS : pause * (0.75 + Math.random() / 2); // not all pages at once
    nextSyncAt = Date.now() + wait;
    if (!well || document.visibilityState === "visible" || waiting().length > 0) {
        nextSync = setTimeout(sync, wait);
    }
    render();
}

/* ---- What is shown --------------------------------------------------------------------------- */

/** Says something to those who look and to those who listen. */
function tell(text) {
    element("saved").textContent = text;
    element("say").textContent = text;
}

function showOrder(number) {
    const order = element("order");
    order.textContent = number ? `Thank you! Your order has the number ${number}.`
                               : "Thank you! Your order is placed.";
    order.hidden = false;
    element("saved").textContent = "";
}

function renderBanner() {
    const banner = element("banner");
    banner.hidden = away === null;
    if (away === null) {
        element("banner-text").textContent = "";
        return;
    }
    const count = waiting().length;
    const kept = count === 0 ? "Your cart is safe."
        : `${count === 1 ? "One change is" : `${count} changes are`} kept here until it is back.`;
    const text = `The ${away} is not answering right now. ${kept}`;
    if (element("banner-text").textContent !== text) { // or it would be read out again and again
        element("banner-text").textContent = text;
    }
    const seconds = Math.max(0, Math.ceil((nextSyncAt - Date.now()) / 1000));
    element("banner-next").textContent = syncing || seconds === 0 ? "Trying…"
        : `Next try in ${seconds} s.`;
}

function makeLine(sku) {
    const line = element("line-template").content.firstElementChild.cloneNode(true);
    const name = product(sku)?.name ?? sku;
    const input = line.querySelector("input");
    line.dataset.line = sku;
    line.querySelector("use").setAttribute("href", `#pic-${sku}`);
    line.querySelector("h3").textContent = name;
    line.querySelector(".stepper").setAttribute("aria-label", `Quantity of ${name}`);
    line.querySelector(".less").setAttribute("aria-label", `One ${name} less`);
    line.querySelector(".more").setAttribute("aria-label", `One ${name} more`);
    line.querySelector(".remove").setAttribute("aria-label", `Remove ${name}`);
    input.setAttribute("aria-label", `Quantity of ${name}`);
    const shown = () => expectedCart().quantities.get(sku) ?? 0;
    line.querySelector(".less").addEventListener("click", () => {
        const quantity = shown() - 1;
        quantity > 0 ? want({ kind: "set", sku, quantity }) : remove(sku, name);
    });
    line.querySelector(".more").addEventListener("click", () => want({ kind: "add", sku, quantity: 1 }));
    line.querySelector(".remove").addEventListener("click", () => remove(sku, name));
    input.addEventListener("change", () => {
        const quantity = Math.min(Math.max(Math.trunc(Number(input.value)) || 1, 1), cart.quantity_max);
        input.value = quantity;
        if (quantity !== shown()) {
            want({ kind: "set", sku, quantity });
        }
    });
    return line;
}

function remove(sku, name) {
    const line = element("lines").querySelector(`[data-line="${sku}"]`);
    const neighbour = line?.nextElementSibling ?? line?.previousElementSibling;
    want({ kind: "remove", sku });
    tell(`${name} removed.`);
    (neighbour?.querySelector(".remove") ?? element("cart")).focus(); // the keyboard stays in place
}

/** Brings the lines in step, keeping those that are there: focus and typing are not disturbed. */
function renderLines(quantities, unsaved) {
    const list = element("lines");
    const lines = new Map([...list.children].map((line) => [line.dataset.line, line]));
    for (const [sku, line] of lines) {
        if (!quantities.has(sku)) {
            line.remove();
        }
    }
    let total = 0;
    for (const [sku, quantity] of quantities) {
        const line = lines.get(sku) ?? list.appendChild(makeLine(sku));
        const price = product(sku)?.price_cents ?? 0;
        const input = line.querySelector("input");
        total += price * quantity;
        input.max = cart.quantity_max;
        if (document.activeElement !== input) {
            input.value = quantity;
        }
        line.querySelector(".price").textContent = `${priceText(price)} each`;
        line.querySelector(".amount").textContent = priceText(price * quantity);
        line.querySelector(".more").disabled = quantity >= cart.quantity_max;
        line.querySelector(".amount").title = unsaved.has(sku) ? "Not saved yet" : "";
        line.toggleAttribute("data-pending", unsaved.has(sku));
    }
    return total;
}

function render() {
    const { quantities, unsaved } = expectedCart();
    const total = renderLines(quantities, unsaved);
    const count = [...quantities.values()].reduce((sum, quantity) => sum + quantity, 0);
    const pieces = count === 1 ? "1 item" : `${count} items`;
    element("count").textContent = count;
    element("count").hidden = count === 0;
    element("empty").hidden = count > 0;
    element("sum").hidden = count === 0;
    element("total").textContent = priceText(total);
    element("to-cart").hidden = count === 0 || cartInView;
    element("to-cart-count").textContent = `Cart · ${pieces}`;
    element("to-cart-total").textContent = priceText(total);
    element("checkout").disabled = unsaved.size > 0 || away !== null;
    element("served-by").textContent = cart.served_by;
    element("version").textContent = cart.version;
    document.title = count > 0 ? `(${count}) Satchel & Co.` : "Satchel & Co.";
    document.body.dataset.waiting = waiting().length;
    renderBanner();
}

function renderProducts() {
    const list = element("products");
    list.replaceChildren(...catalog.products.map((one) => {
        const card = element("product-template").content.firstElementChild.cloneNode(true);
        const button = card.querySelector("button");
        card.querySelector("use").setAttribute("href", `#pic-${one.sku}`);
        card.querySelector("h3").textContent = one.name;
        card.querySelector("p").textContent = one.description;
        card.querySelector(".price").textContent = priceText(one.price_cents);
        button.dataset.add = one.sku;
        button.setAttribute("aria-label", `Add ${one.name} to the cart`);
        button.addEventListener("click", () => {
            if ((expectedCart().quantities.get(one.sku) ?? 0) >= cart.quantity_max) {
                tell(`More than ${cart.quantity_max} of “${one.name}” do not fit in the cart.`);
                return;
            }
            want({ kind: "add", sku: one.sku, quantity: 1 });
            tell(`${one.name} added.`);
        });
        return card;
    }));
}

/* ---- Start ----------------------------------------------------------------------------------- */

async function loadCatalog() {
    const answer = await ask("GET", "/api/catalog");
    if (answer?.status === 200) {
        catalog = answer.json;
        money = new Intl.NumberFormat(undefined, { style: "currency", currency: catalog.currency });
        renderProducts();
        element("lines").replaceChildren(); // made anew, now with names and prices
    } else {
        setTimeout(loadCatalog, PAUSE_MS_MIN * 4);
    }
    render();
}

element("banner-retry").addEventListener("click", () => sync());
element("clear").addEventListener("click", () => {
    want({ kind: "clear" });
    tell("The cart is empty.");
    element("cart").focus();
});
element("checkout").addEventListener("click", () => {
    want({ kind: "checkout", version: cart.version, seen: itemsText(cart.items),
        card: element("card").value });
    element("cart").focus();
});
element("signup").addEventListener("submit", async (event) => {
    event.preventDefault();
    const email = element("email").value.trim();
    const answer = await ask("POST", "/api/signup", { email });
    element("signup-said").textContent = !answer ? "That did not work; please try again in a moment."
        : answer.status === 201 ? `Welcome! ${email} now has an account.`
        : answer.json.message;
});
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && sync());
window.addEventListener("focus", () => sync());
window.addEventListener("online", () => sync());
window.addEventListener("storage", (event) => event.key?.startsWith(WAITING) && (render(), sync()));
new IntersectionObserver(([seen]) => {
    cartInView = seen.isIntersecting;
    render();
}).observe(element("cart"));
setInterval(() => away && renderBanner(), 500);

render();
loadCatalog().then(sync);
