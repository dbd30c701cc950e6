/*
 * What state the store is in, and what is wrong, in words. Nothing here touches the document.
 *
 * The store says itself whether it serves (/readyz) and whether its backup is well (/backupz). What
 * is added here are counters that ought to stand still, and gauges that have a worst value.
 */

/* What /readyz may say, by its beginning; whatever else it says is trouble and shown as it is. */
const STATES = [
    {begins: "ready", name: "serving", title: "Serving",
        text: "Requests are answered."},
    {begins: "not ready: loading", name: "waiting", title: "Loading",
        text: "The store reads its data; clients are told to try again."},
    {begins: "not ready: looking at the backup", name: "waiting", title: "Restoring", text: ""},
    {begins: "not ready: restoring", name: "waiting", title: "Restoring", text: ""},
    {begins: "not ready: standby", name: "waiting", title: "Standby",
        text: "Another store owns the data; this one takes over when that is gone."},
    {begins: "not ready: stopping", name: "waiting", title: "Stopping",
        text: "It was told to stop, and finishes what it has begun."},
    {begins: "", name: "trouble", title: "Not ready", text: "Clients are told to try again."},
];

function stateOf(readyText) {
    return STATES.find((state) => readyText.startsWith(state.begins));
}

/** Why it is not ready, without what the state says already; "" when there is nothing to add. */
function reasonOf(readyText) {
    const reason = readyText.replace(/^(not )?ready:?\s*/, "").trim();
    return ["loading", "stopping"].includes(reason) ? "" : reason;
}

/* Counters that should stand still, and what it means when they did not. */
const ALARMS = [
    ["satchel_store_busy_total", "",
        (n) => `${several(n, "change")} refused as BUSY: the storage does not keep up, or memory is full.`],
    ["satchel_replies_total", 'outcome="retry"',
        (n) => `${several(n, "request")} told to try again: it was loading, over a limit or stopping.`],
    ["satchel_authentication_failures_total", "",
        (n) => `${several(n, "time")} a token was wrong or missing.`],
    ["satchel_malformed_requests_total", "",
        (n) => `${several(n, "request")} did not follow the protocol.`],
    ["satchel_net_connections_refused_total", "",
        (n) => `${several(n, "connection")} turned away: --connections-max is reached.`],
    ["satchel_net_accept_pauses_total", "",
        (n) => `${several(n, "time")} no connection could be accepted: no descriptor or memory was left.`],
    ["satchel_net_connections_closed_total", 'reason="stalled"',
        (n) => `${several(n, "connection")} closed because the client did not read its answers.`],
    ["satchel_net_connections_closed_total", 'reason="limit"',
        (n) => `${several(n, "connection")} closed because a limit was reached.`],
    ["satchel_backup_feed_dropped_changes_total", "",
        (n) => `${several(n, "change")} dropped before the backup had them; a snapshot will mend that.`],
    ["satchel_backup_snapshot_failures_total", "",
        (n) => `${several(n, "snapshot")} could not be taken or stored.`],
];

const SLOW_S = 1; // a read that takes longer, or an answer that waits longer for the storage, is worth a word
const FULL_SHARE = 0.9;
const LEASE_S_LEAST = 10; // of a shorter lease whole seconds say too little
const LEASE_SHARE = 0.4;  // heartbeats come several times a lease time, so it never gets here

function storageTrouble(from, to) {
    const stalled = valueOf(to, "satchel_storage_stalled_seconds");
    if (stalled > 0) {
        return [`The storage has not answered for ${ageText(stalled)}; changes wait.`];
    }
    const slow = quantileIn(bucketsBetween(from, to, "satchel_durable_wait_seconds"), 0.99);
    return slow > SLOW_S ? [`1 % of the answers waited more than ${durationText(slow)} for the storage.`] : [];
}

function readTrouble(from, to) {
    const slow = quantileIn(bucketsBetween(from, to, "satchel_request_seconds",
        (labels) => labels.startsWith('op="read"')), 0.99);
    return slow > SLOW_S ? [`1 % of the reads took more than ${durationText(slow)}: their values are not in memory, `
        + "or clients do not take their answers."] : [];
}

function leaseTrouble(samples) {
    const left = valueOf(samples.at(-1), "satchel_lease_left_seconds");
    const most = Math.max(...samples.map((one) => valueOf(one, "satchel_lease_left_seconds") ?? 0));
    return most >= LEASE_S_LEAST && left < most * LEASE_SHARE
        ? [`The lease was not renewed for a while: in ${ageText(left)} this store ends.`] : [];
}

function fullTrouble(to) {
    const trouble = [];
    if (valueOf(to, "satchel_memory_bytes") > valueOf(to, "satchel_memory_limit_bytes")) {
        trouble.push("Sessions need more memory than they may: see --memory.");
    }
    if (valueOf(to, "process_open_fds") > valueOf(to, "process_max_fds") * FULL_SHARE) {
        trouble.push("Nearly all file descriptors are in use.");
    }
    return trouble;
}

/** About the object that /backupz gives; null: there are no backups. */
function backupTrouble(backup) {
    if (backup === null) {
        return [];
    }
    const trouble = [];
    if (!backup.well) {
        const why = backup.error || backup.snapshots.error;
        trouble.push(`The backup needs somebody: it is ${backup.state}, `
            + `${ageText(backup.lag_ms / 1000)} behind${why ? `: ${why}` : "."}`);
    }
    if (backup.owes_snapshot) {
        trouble.push("The backup lacks changes until its next snapshot is stored.");
    }
    if (backup.retention.failing) {
        trouble.push(`Old backups cannot be deleted: ${backup.retention.error}`);
    }
    return trouble;
}

/** One sentence for everything that is wrong, the gravest first; `samples` has one at least. */
function troubleOf(samples, from, backup) {
    const to = samples.at(-1);
    const span = ageText(secondsBetween(from, to));
    const counted = ALARMS.flatMap(([name, labels, words]) => {
        const grown = growthOf(from, to, name, (these) => these === labels);
        return grown > 0 ? [`In the last ${span}: ${words(grown)}`] : [];
    });
    return [...storageTrouble(from, to), ...readTrouble(from, to), ...leaseTrouble(samples), ...backupTrouble(backup),
        ...fullTrouble(to), ...counted];
}
