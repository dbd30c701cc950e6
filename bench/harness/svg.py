"""Plots as SVG text: bars with their spread, and curves of percentiles.

Readable on light and dark pages: the lines and letters follow the reader's preference, nothing is
painted behind them. Every axis says what it shows and in which unit.
"""

import math
from xml.sax.saxutils import escape

FONT = 'font-family="system-ui, sans-serif"'
WIDTH = 720
LABEL_WIDTH = 170
VALUE_WIDTH = 150
BAR, GAP, HEADING = 15, 6, 30
PLOT_HEIGHT = 300
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 70, 20, 46, 52
BARS_BELOW = 44  # the axis and its name

STYLE = """<style>
text { fill: #24292f; } .quiet { fill: #57606a; }
.axis { stroke: #57606a; } .grid { stroke: #d0d7de; } .whisker { stroke: #24292f; } .bar.other { fill: #a8b1bb; } .line { fill: none; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .quiet { fill: #9198a1; }
.axis { stroke: #9198a1; } .grid { stroke: #3d444d; } .whisker { stroke: #e6edf3; } .bar.other { fill: #6e7681; } }
</style>"""

# Of servers; they can be told apart on white and on black.
COLOURS = {"satchel-fast": "#2da44e", "satchel-durable": "#1f7fd4", "redis-always": "#d1443a",
           "redis-everysec": "#e0823d", "redis-no-aof": "#c9a227", "memcached": "#9a6bd0"}


def document(height, title, parts):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img" {FONT}>',
        f"<title>{escape(title)}</title>", STYLE,
        text(WIDTH / 2, 18, title, anchor="middle", size=15), *parts, "</svg>", ""])


def text(x, y, words, anchor="start", size=12, css="", extra=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
            f'{css and f" class={chr(34)}{css}{chr(34)}"}{extra}>{escape(words)}</text>')


def line(x1, y1, x2, y2, css):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>'


def number(value):
    """Short, with three significant digits, and no exponent."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    shown = f"{value:,.{digits}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def ticks(most, about=5):
    """Round numbers from 0 to at least `most`."""
    raw = (most or 1) / about
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw)
    return [step * i for i in range(math.ceil(most / step) + 1)] if most else [0, 1]


def bars(title, unit, groups):
    """Horizontal bars. `groups`: [(heading, [(label, colour key, Spread)])]; the bar ends at the
    median, its whisker goes from the least to the most."""
    every = [one for _, rows in groups for _, _, one in rows]
    scale = ticks(max(one.most for one in every))
    left, right = LABEL_WIDTH, WIDTH - VALUE_WIDTH
    parts, y = [], 34
    bottom = y + sum(HEADING + len(rows) * (BAR + GAP) for _, rows in groups)

    def at(value):
        return left + (right - left) * value / scale[-1]

    for tick in scale:
        parts += [line(at(tick), y, at(tick), bottom, "grid"),
                  text(at(tick), bottom + 16, number(tick), "middle", 11, "quiet")]
    parts.append(text((left + right) / 2, bottom + 34, unit, "middle", 12, "quiet"))
    for heading, rows in groups:
        y += HEADING
        parts.append(text(8, y - 8, heading, size=13, extra=' font-weight="600"'))
        for label, key, one in rows:
            middle = y + BAR / 2
            fill = f' style="fill: {COLOURS[key]}"' if key in COLOURS else ""
            parts += [
                text(left - 8, middle + 4, label, "end"),
                f'<rect x="{left}" y="{y}" width="{at(one.median) - left:.1f}" height="{BAR}" '
                f'class="bar other"{fill}/>',
                line(at(one.least), middle, at(one.most), middle, "whisker"),
                line(at(one.least), middle - 3, at(one.least), middle + 3, "whisker"),
                line(at(one.most), middle - 3, at(one.most), middle + 3, "whisker"),
                text(right + 10, middle + 4,
                     f"{number(one.median)}  ({number(one.least)}–{number(one.most)})", size=11)]
            y += BAR + GAP
    return document(bottom + BARS_BELOW, title, parts)


def percentiles(histogram):
    """[(fraction that is at most, upper bound)] of [[upper bound, count], …]."""
    total = sum(count for _, count in histogram)
    points, seen = [], 0
    for bound, count in sorted(histogram):
        seen += count
        if count:
            points.append((seen / total, bound))
    return points


def curves(title, lines):
    """Latency by percentile, both logarithmic. `lines`: [(label, colour key, histogram in us)]."""
    drawn = [(label, key, percentiles(histogram)) for label, key, histogram in lines]
    fewest = min(sum(count for _, count in histogram) for _, _, histogram in lines)
    nines = max(1, min(5, math.floor(math.log10(fewest)) - 1))  # beyond them stand single requests
    bounds = [bound for _, _, points in drawn for _, bound in points]
    low, high = math.floor(math.log10(max(1, min(bounds)))), math.ceil(math.log10(max(bounds)))
    high = max(high, low + 1)
    left, right = MARGIN_LEFT, WIDTH - MARGIN_RIGHT
    top, bottom = MARGIN_TOP, MARGIN_TOP + PLOT_HEIGHT

    def x_of(fraction):
        return left + (right - left) * min(nines, -math.log10(max(1 - fraction, 1e-9))) / nines

    def y_of(us):
        share = (math.log10(max(us, 1)) - low) / (high - low)
        return bottom - (bottom - top) * min(1, max(0, share))

    parts = [line(left, bottom, right, bottom, "axis"), line(left, top, left, bottom, "axis")]
    for power in range(low, high + 1):
        parts += [line(left, y_of(10 ** power), right, y_of(10 ** power), "grid"),
                  text(left - 8, y_of(10 ** power) + 4, number(10 ** power / 1000), "end", 11,
                       "quiet")]
    for fraction in [0, 0.5] + [1 - 10 ** -power for power in range(1, nines + 1)]:
        parts += [line(x_of(fraction), top, x_of(fraction), bottom, "grid"),
                  text(x_of(fraction), bottom + 16, f"{round(fraction * 100, 4):g} %", "middle", 11,
                       "quiet")]
    parts += [text((left + right) / 2, bottom + 36, "share of requests that are answered by then",
                   "middle", 12, "quiet"),
              text(16, (top + bottom) / 2, "latency, ms", "middle", 12, "quiet",
                   f' transform="rotate(-90 16 {(top + bottom) / 2:.0f})"')]
    for at, (label, key, points) in enumerate(drawn):
        colour = COLOURS.get(key, "#888888")
        # Stairs: that many requests took at most the bound.
        corners, before = [], 0
        for fraction, bound in points:
            corners += [(x_of(before), y_of(bound)), (x_of(fraction), y_of(bound))]
            before = fraction
            if x_of(fraction) >= right:
                break
        shown = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        parts += [f'<polyline points="{shown}" class="line" style="stroke: {colour}"/>',
                  f'<rect x="{left + 12}" y="{top + 8 + 18 * at}" width="14" height="4" '
                  f'style="fill: {colour}"/>',
                  text(left + 32, top + 14 + 18 * at, label)]
    return document(bottom + MARGIN_BOTTOM, title, parts)
