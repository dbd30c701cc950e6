"""The table of clients in docs/redis-compatibility.md: each test keeps a row of it."""

from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/redis-compatibility.md"
BEGIN = "<!-- table: clients -->\n"
HEAD_ROWS = 2


def keep(test, cells, is_write):
    """Fails unless the table has the row of `test`, and it says this. With is_write, makes it so."""
    shown_by = f" `clients/{test}` |"
    row = "| " + " | ".join(cells) + " |" + shown_by
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    table, after = rest.split("\n\n", 1)
    rows = table.split("\n")
    if is_write:
        rows = [old for old in rows if not old.endswith(shown_by)] + [row]
        rows = rows[:HEAD_ROWS] + sorted(rows[HEAD_ROWS:])
        PAGE.write_text(before + BEGIN + "\n".join(rows) + "\n\n" + after, encoding="utf-8")
    found = [old for old in rows if old.endswith(shown_by)]
    assert found == [row], f"{PAGE.name} (--write writes it): {found} should be\n{row}"
