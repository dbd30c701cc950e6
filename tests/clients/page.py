#!/usr/bin/python3
"""The table of clients in docs/redis-compatibility.md: each test keeps a row of it.

page.py NAME …: fails unless the rows of the table are those of the tests with these names.
"""

import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/redis-compatibility.md"
BEGIN = "<!-- table: clients -->\n"
HEAD_ROWS = 2


def split():
    """The page up to the table, the lines of that, and the page after it."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    table, after = rest.split("\n\n", 1)
    return before + BEGIN, table.split("\n"), "\n\n" + after


def keep(test, cells, is_write):
    """Fails unless the table has the row of `test`, and it says this. With is_write, makes it so."""
    shown_by = f" `clients/{test}` |"
    row = "| " + " | ".join(cells) + " |" + shown_by
    before, rows, after = split()
    if is_write:
        rows = [old for old in rows if not old.endswith(shown_by)] + [row]
        rows = rows[:HEAD_ROWS] + sorted(rows[HEAD_ROWS:])
        PAGE.write_text(before + "\n".join(rows) + after, encoding="utf-8")
    found = [old for old in rows if old.endswith(shown_by)]
    assert found == [row], f"{PAGE.name} (--write writes it): {found} should be\n{row}"


def main():
    _, rows, _ = split()
    shown_by = {row.rsplit("`", 2)[1] for row in rows[HEAD_ROWS:]}
    tests = {f"clients/{name}" for name in sys.argv[1:]}
    for name in sorted(shown_by ^ tests):
        print(f"{PAGE.name}: {name} has {'no row' if name in tests else 'a row, but there is no such test'}")
    sys.exit(shown_by != tests)


if __name__ == "__main__":
    main()
