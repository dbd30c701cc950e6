/*
 * Two small plots in SVG: lines over time, and bars for a distribution. They are drawn anew each time,
 * in pixels of the screen, so that their texts have the size of all others at any width.
 */
const PLOT_HEIGHT = 150;
const PLOT_EDGE = {left: 4, right: 4, top: 18, bottom: 20};
const TEXT_PX = 7; // about the width of a letter, to keep labels apart

function svgNode(name, attributes, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) {
        node.setAttribute(key, value);
    }
    if (text !== undefined) {
        node.textContent = text;
    }
    return node;
}

/** A round number that is not less: 1, 2 or 5 times a power of ten. */
function roundedUp(value) {
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 5, 10].map((factor) => factor * power).find((round) => round >= value * 0.9999);
}

/** Empties a plot and returns the room in it. */
function beginPlot(svg, label) {
    const width = svg.clientWidth;
    svg.setAttribute("aria-label", label);
    svg.replaceChildren();
    return {left: PLOT_EDGE.left, right: width - PLOT_EDGE.right, top: PLOT_EDGE.top,
        bottom: PLOT_HEIGHT - PLOT_EDGE.bottom};
}

function drawHeight(svg, room, at, text) {
    const y = room.bottom - (room.bottom - room.top) * at;
    svg.append(svgNode("line", {class: "grid", x1: room.left, x2: room.right, y1: y, y2: y}),
        svgNode("text", {x: room.left, y: y - 4}, text));
}

/**
 * Lines over time. `lines`: [{kind, points: [{ago, value}]}], `ago` in seconds, oldest first, `kind` a
 * class of the style sheet; an undefined value makes a gap, and so does a time without points. `words`
 * writes a value; `gapSeconds` is the longest time between two points that belong together.
 */
function drawLines(svg, {label, lines, words, spanSeconds, gapSeconds}) {
    const room = beginPlot(svg, label);
    const values = lines.flatMap((line) => line.points.map((point) => point.value ?? 0));
    const most = Math.max(...values, 0);
    const top = most > 0 ? roundedUp(most) : 1;
    const x = (ago) => room.right - (room.right - room.left) * (ago / spanSeconds);
    const y = (value) => room.bottom - (room.bottom - room.top) * (value / top);
    drawHeight(svg, room, 1, words(top));
    drawHeight(svg, room, 0.5, words(top / 2));
    drawHeight(svg, room, 0, "");
    for (const {kind, points} of lines) {
        let path = "";
        let before; // the point that the line comes from
        for (const point of points) {
            if (point.value !== undefined && point.ago <= spanSeconds) {
                const goesOn = before !== undefined && before.ago - point.ago <= gapSeconds;
                path += `${goesOn ? "L" : "M"}${x(point.ago).toFixed(1)} ${y(point.value).toFixed(1)}`;
            }
            before = point.value === undefined ? undefined : point;
        }
        svg.append(svgNode("path", {class: `line ${kind}`, d: path}));
    }
    svg.append(svgNode("text", {x: room.left, y: PLOT_HEIGHT - 5}, `${ageText(spanSeconds)} ago`),
        svgNode("text", {x: room.right, y: PLOT_HEIGHT - 5, class: "end"}, "now"));
}

/**
 * Bars, one for each bucket between the first and the last that is not empty. `one` names what is in
 * them, `none` says that nothing is.
 */
function drawBars(svg, {label, buckets, one, none}) {
    const room = beginPlot(svg, label);
    const first = buckets.findIndex((bucket) => bucket.count > 0);
    if (first < 0) {
        svg.append(svgNode("text", {x: room.left, y: room.bottom - 10}, none));
        return;
    }
    const shown = buckets.slice(Math.max(first - 1, 0),
        buckets.findLastIndex((bucket) => bucket.count > 0) + 2);
    const most = Math.max(...shown.map((bucket) => bucket.count));
    const step = (room.right - room.left) / shown.length;
    drawHeight(svg, room, 1, several(most, one));
    drawHeight(svg, room, 0, "");
    let free = 0; // from where on the next label fits
    shown.forEach(({above, upTo, count}, i) => {
        const height = (room.bottom - room.top) * (count / most);
        const x = room.left + i * step;
        svg.append(svgNode("rect", {class: "bar", x: x + 1, width: Math.max(step - 2, 1),
            y: room.bottom - height, height}));
        const text = upTo === Infinity ? `> ${durationText(above)}` : `≤ ${durationText(upTo)}`;
        if (x >= free && x + text.length * TEXT_PX <= room.right + TEXT_PX) {
            svg.append(svgNode("text", {x, y: PLOT_HEIGHT - 5}, text));
            free = x + (text.length + 1) * TEXT_PX;
        }
    });
}
