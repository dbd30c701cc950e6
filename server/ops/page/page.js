/*
 * The page: asks the server it came from once a second, and shows what it answers.
 *
 * Every figure belongs to the last answer, and the page says how old that is as soon as the next one
 * is late. Rates and times come from the difference to an earlier sample; how long ago that was is
 * written beside them, because a page that nobody looks at is woken rarely by its browser.
 */
const POLL_MS = 1000;
const STALE_MS = 3000;   // an answer older than this is not called live any more
const TICK_MS = 250;
const RATE_POLLS = 10;   // a rate is that of so many polls
const TIME_POLLS = 60;   // … and the times and what is wrong that of so many
const SAMPLES_MAX = 300;
const SPANS_S = [60, 120, 300]; // how much time a plot shows: enough for the oldest sample
// What takes time: the id of its figure, with which those of its plots begin, its histogram, and its words.
const WAIT = {id: "wait", family: "satchel_durable_wait_seconds", labels: "", one: "answer", none: "No answer had to wait."};
const TIMES = [
    {id: "read", family: "satchel_request_seconds", labels: 'op="read"', one: "read", none: "No reads."},
    {id: "change", family: "satchel_request_seconds", labels: 'op="change"', one: "change", none: "No changes."},
    WAIT,
];

const samples = [];      // oldest first, of one run of the server
let readyText = "";
let backup = null;       // what /backupz said; null: there are no backups
let serverTime = NaN;    // seconds since 1970 of the last answer, by the server's clock
let answeredAt;          // when the last answer came, in ms of performance.now(); undefined: never
let answers = 0;
let trouble = [];        // what is wrong, in sentences, as of the last answer
let failure = "";        // why the last poll failed; "": it did not

const element = (id) => document.getElementById(id);

function setText(id, text) {
    const node = element(id);
    if (node.textContent !== text) { // or a screen reader would say it again and again
        node.textContent = text;
    }
}

/* ---- Asking --------------------------------------------------------------------------------- */

async function ask(path) {
    const answer = await fetch(path, {cache: "no-store", headers: {Accept: "text/plain, application/json"},
        signal: AbortSignal.timeout(STALE_MS)});
    return {code: answer.status, date: answer.headers.get("Date"), text: await answer.text()};
}

function take(metrics, ready, backupz) {
    if (metrics.code !== 200) {
        throw new Error(`/metrics is answered with ${metrics.code}`);
    }
    const sample = {at: performance.now(), families: parseMetrics(metrics.text)};
    const before = samples.at(-1);
    const begin = "process_start_time_seconds";
    if (before !== undefined && valueOf(before, begin) !== valueOf(sample, begin)) {
        samples.length = 0; // another process: its counters begin anew
    }
    samples.push(sample);
    samples.splice(0, samples.length - SAMPLES_MAX);
    const described = backupz.code === 404 ? {state: "off"} : JSON.parse(backupz.text);
    backup = described.state === "off" ? null : described;
    readyText = ready.text.trim();
    serverTime = Date.parse(metrics.date) / 1000;
    answeredAt = sample.at;
    answers++;
}

async function poll() {
    try {
        take(...await Promise.all(["/metrics", "/readyz", "/backupz"].map(ask)));
        failure = "";
    } catch (error) {
        failure = error.message;
    }
    show();
    setTimeout(poll, POLL_MS);
}

/** The sample that is so many polls older than the last one, or the first there is. */
const sampleBefore = (polls) => samples[Math.max(samples.length - 1 - polls, 0)];

/* ---- Showing -------------------------------------------------------------------------------- */

function showFigure(id, value, text, more) {
    element(id).value = value ?? "";
    setText(id, text);
    setText(`${id}-more`, more);
}

function roleText(sample) {
    const epoch = valueOf(sample, "satchel_epoch");
    const begin = valueOf(sample, "process_start_time_seconds");
    const owner = epoch === undefined ? "Owns no data"
        : `Owner, epoch ${countText(epoch)}, lease for ${ageText(valueOf(sample, "satchel_lease_left_seconds"))}`;
    return begin === undefined ? owner : `${owner} · running for ${ageText(serverTime - begin)}`;
}

function showState() {
    const quietMs = answeredAt === undefined ? 0 : performance.now() - answeredAt;
    const isLive = answeredAt !== undefined && failure === "" && quietMs <= STALE_MS;
    const state = stateOf(readyText);
    let [name, title, text] = [state.name, state.title, reasonOf(readyText) || state.text];
    if (name === "serving") {
        [name, text] = trouble.length === 0 ? [name, `${text} Nothing is wrong.`]
            : ["waiting", `${text} But something is wrong:`];
    }
    if (!isLive) {
        [name, title, text] = answeredAt === undefined && failure === ""
            ? ["asking", "Asking …", "The page has just been opened."]
            : ["gone", "Not answering", failure === "" ? "The server is silent." : `The browser says: ${failure}`];
    }
    document.body.dataset.state = name;
    document.body.dataset.live = isLive ? "yes" : "no";
    document.title = `${title} · Satchel ${location.host}`;
    setText("state", title);
    setText("state-text", text);
    element("state-role").hidden = !isLive;
    element("stale").hidden = isLive || answeredAt === undefined;
    setText("stale", `No answer for ${ageText(quietMs / 1000)}. All figures below are that old.`);
    showIcon();
}

/** The tab's icon has the colour of the state. */
function showIcon() {
    const colour = getComputedStyle(document.querySelector(".state")).backgroundColor;
    const picture = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">
        <circle cx="8" cy="8" r="7" fill="${colour}"/></svg>`;
    const address = `data:image/svg+xml,${encodeURIComponent(picture)}`;
    if (element("icon").href !== address) {
        element("icon").href = address;
    }
}

function showTrouble() {
    element("wrong").hidden = trouble.length === 0;
    const items = trouble.map((words) => {
        const item = document.createElement("li");
        item.textContent = words;
        return item;
    });
    const shown = [...element("wrong-list").children].map((item) => item.textContent);
    if (shown.join("\n") !== trouble.join("\n")) { // or a screen reader would say it again
        element("wrong-list").replaceChildren(...items);
    }
}

const timesBetween = (from, to, {family, labels}) =>
    bucketsBetween(from, to, family, (these) => these.startsWith(labels));

function showTimes(from, to) {
    const span = `in the last ${ageText(secondsBetween(from, to))}`;
    for (const time of TIMES) {
        const buckets = timesBetween(from, to, time);
        const [p50, p90, p99] = [0.5, 0.9, 0.99].map((share) => quantileIn(buckets, share));
        const what = several(countIn(buckets), time.one);
        showFigure(time.id, p99, durationText(p99), p99 === undefined ? `none ${span}`
            : `half ${durationText(p50)}, p90 ${durationText(p90)}, ${span}`);
        setText(`${time.id}-span`, span);
        drawBars(element(`${time.id}-spread`), {...time, buckets,
            label: `Of ${what} half took less than ${durationText(p50)} and 99 % less than ${durationText(p99)}`});
    }
}

function showRates(from, to) {
    const isError = (labels) => labels !== 'outcome="not_found"';
    const rate = rateOf(from, to, "satchel_requests_total");
    const errors = rateOf(from, to, "satchel_replies_total", isError);
    const span = ageText(secondsBetween(from, to));
    showFigure("rate", rate, figureText(rate), `in the last ${span}`);
    showFigure("errors", errors, figureText(errors),
        `refused or to be tried again; ${countText(totalOf(to, "satchel_replies_total", isError))} since the start`);
    const accepted = rateOf(from, to, "satchel_net_connections_accepted_total");
    const connections = valueOf(to, "satchel_net_connections");
    showFigure("connections", connections, countText(connections), `${figureText(accepted)} new ones a second`);
}

function showGauges(to) {
    const figure = (name) => valueOf(to, `satchel_${name}`);
    const sessions = figure("sessions");
    showFigure("sessions", sessions, countText(sessions),
        `${countText(figure("expired_sessions_total"))} have expired since the start`);
    const lag = figure("journal_undurable_bytes");
    showFigure("lag", lag, bytesText(lag), `${several(figure("parked_replies"), "answer")} waiting for it`);
    const age = figure("checkpoint_age_seconds");
    showFigure("checkpoint", age, age < 0 ? "none yet" : age === undefined ? UNKNOWN : `${ageText(age)} ago`,
        `${several(figure("dirty_sessions"), "session")} changed since`);
    const memory = figure("memory_bytes");
    showFigure("memory", memory, bytesText(memory), `of ${bytesText(figure("memory_limit_bytes"))}; `
        + `the process has ${bytesText(valueOf(to, "process_resident_memory_bytes"))}`);
    const [build] = to.families.get("satchel_build_info")?.keys() ?? [""];
    setText("version", /version="([^"]*)"/.exec(build)?.[1] ?? "");
}

function showBackup() {
    element("backup-box").hidden = backup === null;
    if (backup !== null) {
        const ageMs = backup.snapshots.age_ms;
        showFigure("backup", ageMs, ageMs < 0 ? "none yet" : `${ageText(ageMs / 1000)} old`,
            `${backup.well ? "well" : "not well"}: ${backup.state}, ${ageText(backup.lag_ms / 1000)} behind`);
    }
}

/** What lies between each sample and the next, as points of a plot. */
function pointsOf(valueBetween) {
    const now = performance.now();
    return samples.slice(1).map((to, i) =>
        ({ago: (now - to.at) / 1000, value: valueBetween(samples[i], to)}));
}

function showPlots() {
    const times = (time, share) => pointsOf((from, to) => quantileIn(timesBetween(from, to, time), share));
    const oldest = (performance.now() - samples[0].at) / 1000;
    const common = {spanSeconds: SPANS_S.find((span) => span >= oldest) ?? SPANS_S.at(-1),
        gapSeconds: STALE_MS / 1000};
    drawLines(element("rate-plot"), {...common, words: figureText,
        label: `Requests a second, now ${element("rate").textContent}`,
        lines: [{kind: "all", points: pointsOf((from, to) => rateOf(from, to, "satchel_requests_total"))}]});
    for (const time of TIMES.filter((each) => each !== WAIT)) {
        const storage = time.id === "change" ? [{kind: "storage", points: times(WAIT, 0.99)}] : [];
        drawLines(element(`${time.id}-plot`), {...common, words: durationText,
            label: `99 % of the ${time.one}s took less than ${element(time.id).textContent}`,
            lines: [{kind: "p99", points: times(time, 0.99)}, {kind: "p50", points: times(time, 0.5)}, ...storage]});
    }
}

function show() {
    if (samples.length > 0) {
        const to = samples.at(-1);
        trouble = troubleOf(samples, sampleBefore(TIME_POLLS), backup);
        setText("state-role", roleText(to));
        showTrouble();
        showGauges(to);
        showRates(sampleBefore(RATE_POLLS), to);
        showTimes(sampleBefore(TIME_POLLS), to);
        showBackup();
        showPlots();
    }
    showState();
    document.body.dataset.answers = String(answers);
}

setText("address", location.host);
setInterval(showState, TICK_MS);
addEventListener("resize", show);
document.addEventListener("visibilitychange", showState);
poll();
