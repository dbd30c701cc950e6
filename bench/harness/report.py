"""Writes the report of a run: Markdown and plots."""

from harness import machine, markdown, plots
from harness.results import Results, Unreadable

PAGE = machine.ROOT / "docs" / "performance.md"
NEW_PAGE = f"# Performance\n\n{markdown.BEGIN}\n{markdown.END}\n"


def latest():
    """The newest results, or Unreadable."""
    found = sorted((machine.ROOT / "build" / "bench").glob("*/run.json"))
    if not found:
        raise Unreadable("there are no results in build/bench; ./dev bench makes some")
    return found[-1].parent


def write(directory, page):
    """Reads the results of a directory and writes them into `page`, with the plots in a folder
    beside it that is called like the page. Returns (reached, missed, unknown)."""
    results = Results(directory)
    run, measurements = results.stamp(), results.measurements()
    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for name, title, text in plots.make(measurements):
        (folder / name).write_text(text, encoding="utf-8")
        shown.append((title, f"{folder.name}/{name}"))
    old = page.read_text(encoding="utf-8") if page.exists() else NEW_PAGE
    try:
        new = markdown.insert(old, markdown.report(run, measurements, shown))
    except markdown.NoMarkers as why:
        raise Unreadable(f"{page}: {why}") from None
    page.write_text(new, encoding="utf-8")
    return markdown.summary(measurements)
