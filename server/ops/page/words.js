/* Numbers as people read them. `undefined` is a figure that nobody knows, and is never shown as 0. */
const UNKNOWN = "–";
const JOINED = "\u00a0"; // a figure and its unit stay on one line

function inWords(value, words) {
    return value === undefined || Number.isNaN(value) ? UNKNOWN : words(value);
}

/** 1234567 → "1,234,567" */
const countText = (value) => inWords(value, (number) => Math.round(number).toLocaleString("en"));

/** Three digits at least, none of them invented: 0.25 → "0.25", 12.34 → "12.3", 1234.5 → "1,235" */
function figureText(value) {
    return inWords(value, (number) => number.toLocaleString("en",
        {maximumFractionDigits: number >= 100 || number === 0 ? 0 : number >= 10 ? 1 : 2}));
}

/** A short time in seconds: 0.0000123 → "12.3 µs" */
function durationText(seconds) {
    return inWords(seconds, (value) => {
        const [unit, scale] = value >= 1 ? ["s", 1] : value >= 1e-3 ? ["ms", 1e3] : ["µs", 1e6];
        return `${figureText(value * scale)}${JOINED}${unit}`;
    });
}

/** A long time in seconds: 7384 → "2 h 3 min" */
function ageText(seconds) {
    return inWords(seconds, (value) => {
        const whole = Math.max(0, Math.floor(value));
        if (whole < 120) {
            return `${whole} s`;
        }
        const minutes = Math.floor(whole / 60);
        if (minutes < 120) {
            return `${minutes} min`;
        }
        const hours = Math.floor(minutes / 60);
        return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
    });
}

/** 1536 → "1.5 KiB" */
function bytesText(bytes) {
    return inWords(bytes, (value) => {
        let unit = 0;
        while (Math.abs(value) >= 1024 && unit < 4) {
            value /= 1024;
            unit++;
        }
        return `${figureText(value)}${JOINED}${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
    });
}

/** "1 request" or "5 requests" */
const several = (count, one) => `${countText(count)} ${one}${count === 1 ? "" : "s"}`;
