#!/usr/bin/python3
"""The report of a small stored run: Markdown that holds what was measured, plots that are XML."""

import json
import re
import shutil
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "bench"))

from harness import figures, markdown, report, results, svg  # noqa: E402

STORED = HERE / "results"
SVG = "{http://www.w3.org/2000/svg}"


class Pages(unittest.TestCase):
    def setUp(self):
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.page = self.directory / "performance.md"

    def write(self, stored=STORED):
        counts = report.write(stored, self.page)
        return counts, self.page.read_text(encoding="utf-8")

    def test_a_stored_run_becomes_a_page(self):
        (reached, missed, unknown), text = self.write()
        self.assertEqual((reached, missed), (2, 4))
        self.assertIn(f"2 reached, 4 missed, {unknown} not measured.", text)
        # 6.5 / 6.0, 6.0 / 6.0 and 6.6 / 6.0: the one in the middle is 1.0833.
        self.assertIn("| CPU/op, mixed, no pipelining: fast | null server | ≤ 1.08 × "
                      "| 1.08 (1.04–1.09) × | **missed by 0.3 %**, within the spread; "
                      "the floor server needs 1.05 × |", text)
        self.assertIn("| memory of an idle connection | – | ≤ 10 KiB | 2 KiB | reached |", text)
        self.assertIn("≤ 1/14 ×", text)
        for stamped in ("2026-01-02T03:04:05Z", "commit abcdef", "6.1.0-test", "ext4 on /dev/test",
                        "1.0, 2.0, 3.0", "`peers --rounds 3`", "skipped: memcached"):
            self.assertIn(stamped, text)

    def test_the_floor_stands_between_the_null_server_and_the_store(self):
        _, text = self.write()
        # To the null server: the floor 6.3 / 6.0; Satchel as above, and at once 6.2, 5.8 and 6.3.
        # To the floor's 6.3: 6.5, 6.0 and 6.6, and at once the same 6.2, 5.8 and 6.3.
        self.assertIn("| CPU/op, mixed, no pipelining: fast | ≤ 1.08 × | 1 (1–1) × "
                      "| 1.05 (1.05–1.05) × | 1.08 (1.04–1.09) × | 1.03 (1–1.04) × "
                      "| 1.03 (0.992–1.04) × | 0.984 (0.952–0.992) × |", text)
        self.assertEqual(text.count("| CPU/op, mixed, 16 pipelined: fast | ≤ 1.1 ×"), 0)

    def test_without_a_floor_server_nothing_is_said_about_it(self):
        without = self.directory / "without"
        shutil.copytree(STORED, without)
        for path in (without / "mixed-p1").glob("floor-*.json"):
            path.unlink()
        _, text = self.write(without)
        self.assertIn("| **missed by 0.3 %**, within the spread |", text)
        self.assertNotIn("floor", text)

    def test_every_line_of_a_table_has_as_many_cells_as_its_head(self):
        _, text = self.write()
        for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
            widths = {line.count("|") - line.count("\\|") for line in block.splitlines()}
            self.assertEqual(len(widths), 1, block)

    def test_plots_are_there_and_named_in_the_page(self):
        _, text = self.write()
        named = re.findall(r"!\[.+\]\((.+)\)", text)
        self.assertIn("performance/cpu-per-operation.svg", named)
        self.assertIn("performance/latency-slow-50-get.svg", named)
        for path in named:
            root = xml.etree.ElementTree.parse(self.directory / path).getroot()
            self.assertEqual(root.tag, f"{SVG}svg")
            self.assertGreater(len(root), 10)
        self.assertEqual(sorted(named), sorted(f"performance/{path.name}" for path in
                                               (self.directory / "performance").iterdir()))

    def test_prose_around_the_report_stays(self):
        prose = f"# Fast\n\nWhy.\n\n{markdown.BEGIN}\nold figures\n{markdown.END}\n\nMore.\n"
        self.page.write_text(prose, encoding="utf-8")
        _, text = self.write()
        self.assertTrue(text.startswith(f"# Fast\n\nWhy.\n\n{markdown.BEGIN}\n## Targets"))
        self.assertTrue(text.endswith(f"{markdown.END}\n\nMore.\n"))
        self.assertNotIn("old figures", text)
        _, again = self.write()
        self.assertEqual(text, again)

    def test_a_page_without_a_place_for_it_is_left_alone(self):
        self.page.write_text("# Mine\n", encoding="utf-8")
        with self.assertRaisesRegex(results.Unreadable, "lacks the lines"):
            self.write()
        self.assertEqual(self.page.read_text(encoding="utf-8"), "# Mine\n")

    def test_no_results_and_damaged_ones_are_named(self):
        empty = self.directory / "empty"
        empty.mkdir()
        with self.assertRaisesRegex(results.Unreadable, "run.json"):
            self.write(empty)
        damaged = self.directory / "damaged"
        shutil.copytree(STORED, damaged)
        (damaged / "mixed-p1" / "null-1.json").write_text("{", encoding="utf-8")
        with self.assertRaisesRegex(results.Unreadable, "null-1.json"):
            self.write(damaged)


class Plots(unittest.TestCase):
    def lengths(self, text):
        return [float(rect.get("width")) for rect in xml.etree.ElementTree.fromstring(text)
                if rect.tag == f"{SVG}rect" and "bar" in rect.get("class", "")]

    def test_bars_are_as_long_as_their_medians(self):
        rows = [("a", "a", figures.spread([10])), ("b & c", "b", figures.spread([5])),
                ("d", "d", figures.spread([0]))]
        first, second, third = self.lengths(svg.bars("T", "s", [("<group>", rows)]))
        self.assertAlmostEqual(first, 2 * second, delta=0.11)
        self.assertEqual(third, 0)

    def test_axes_say_their_unit(self):
        text = svg.curves("Latency", [("x", "x", [[100, 900], [1000, 100]])])
        words = [node.text for node in xml.etree.ElementTree.fromstring(text).iter(f"{SVG}text")]
        self.assertIn("latency, ms", words)
        self.assertIn("share of requests that are answered by then", words)
        self.assertIn("prefers-color-scheme: dark", text)

    def test_percentiles_of_a_histogram(self):
        self.assertEqual(svg.percentiles([[20, 1], [10, 3]]), [(0.75, 10), (1.0, 20)])

    def test_numbers_are_short(self):
        for value, shown in ((0, "0"), (0.01234, "0.0123"), (1.5, "1.5"), (12.34, "12.3"),
                             (123456.7, "123,457"), (100, "100"), (2, "2"), (-3.21, "-3.21")):
            self.assertEqual(svg.number(value), shown)

    def test_ticks_are_round_and_reach_the_largest_value(self):
        self.assertEqual(svg.ticks(9.3), [0, 2, 4, 6, 8, 10])
        self.assertEqual(svg.ticks(0), [0, 1])
        for most in (0.003, 1, 7, 99, 123456):
            self.assertGreaterEqual(svg.ticks(most)[-1], most)


class Results(unittest.TestCase):
    def test_what_was_added_is_read_back(self):
        with tempfile.TemporaryDirectory() as directory:
            kept = results.Results(Path(directory) / "run")
            kept.begin({"time": "now"})
            kept.add("series", "server", 1, {"x": 1.5}, load={"y": 2})
            kept.begin({"time": "later"})  # another program goes on with the same directory
            kept.note("a line")
            kept.note("a line")
            self.assertEqual(kept.stamp()["time"], "now")
            self.assertEqual(kept.stamp()["notes"], ["a line"])
            self.assertEqual(kept.measurements(), [
                {"series": "series", "server": "server", "round": 1, "figures": {"x": 1.5},
                 "load": {"y": 2}}])
            text = json.dumps(kept.measurements())
            self.assertIn("1.5", text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
