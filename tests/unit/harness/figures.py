#!/usr/bin/python3
"""Medians, spreads, ratios and targets, with numbers made by hand."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench"))

from harness import figures, load, table  # noqa: E402
from harness.table import Target  # noqa: E402


def measured(series, server, figure, *values):
    """One measurement a round; None: that round failed."""
    return [{"series": series, "server": server, "round": number, "figures": {figure: value}}
            for number, value in enumerate(values, 1) if value is not None]


def target(**limits):
    return Target("CPU", "mixed", "cpu", "mine", "other", **limits)


class Spreads(unittest.TestCase):
    def test_the_median_of_an_even_number_lies_between_the_two_in_the_middle(self):
        self.assertEqual(figures.spread([4, 1, 3, 2]).median, 2.5)

    def test_quartiles_and_extremes(self):
        one = figures.spread([7, 1, 2, 3, 4, 5, 100])
        self.assertEqual((one.median, one.low, one.high, one.least, one.most, one.count),
                         (4, 2.5, 6, 1, 100, 7))

    def test_a_single_value_is_its_own_spread(self):
        one = figures.spread([3.5])
        self.assertEqual((one.low, one.median, one.high), (3.5, 3.5, 3.5))

    def test_no_values_have_none(self):
        self.assertIsNone(figures.spread([]))


class Ratios(unittest.TestCase):
    def test_they_are_taken_round_by_round(self):
        # The machine became three times as slow in the middle: the ratio did not change.
        mine, other = {1: 2, 2: 6, 3: 2}, {1: 4, 2: 12, 3: 4}
        self.assertEqual(figures.ratio_spread(mine, other).median, 0.5)
        # The ratio of the medians would be 2 / 4; that of the rounds is not.
        mine = {1: 1, 2: 2, 3: 30}
        other = {1: 4, 2: 1, 3: 10}
        self.assertEqual(figures.ratio_spread(mine, other).median, 2)

    def test_rounds_that_one_of_them_lacks_do_not_count(self):
        self.assertEqual(figures.ratio_spread({1: 1, 2: 8}, {2: 4, 3: 1}).count, 1)
        self.assertIsNone(figures.ratio_spread({1: 1}, {2: 1}))

    def test_nothing_is_divided_by_zero(self):
        self.assertIsNone(figures.ratio_spread({1: 1}, {1: 0}))


class Targets(unittest.TestCase):
    def judge(self, mine, other, **limits):
        return figures.judge(target(**limits), measured("mixed", "mine", "cpu", *mine)
                             + measured("mixed", "other", "cpu", *other))

    def test_exactly_at_the_limit_is_reached(self):
        self.assertEqual(self.judge([5], [4], at_most=1.25).state, "reached")
        self.assertEqual(self.judge([5], [4], at_least=1.25).state, "reached")

    def test_by_how_much_it_is_missed(self):
        outcome = self.judge([12], [10], at_most=1)
        self.assertEqual((outcome.state, outcome.text), ("missed", "missed by 20 %"))
        outcome = self.judge([6], [10], at_least=1.2)
        self.assertEqual((outcome.state, outcome.text), ("missed", "missed by 50 %"))
        self.assertEqual(self.judge([1.005], [1], at_most=1).text, "missed by 0.5 %")

    def test_it_is_clear_only_when_the_middle_half_of_the_rounds_agrees(self):
        clear = self.judge([8, 8, 9, 9], [10] * 4, at_most=1)
        self.assertEqual((clear.state, clear.is_clear), ("reached", True))
        unsure = self.judge([9, 9, 9.9, 12, 12], [10] * 5, at_most=1)
        self.assertEqual((unsure.state, unsure.is_clear), ("reached", False))
        unsure = self.judge([8, 8, 11, 12, 12], [10] * 5, at_most=1)
        self.assertEqual((unsure.state, unsure.is_clear), ("missed", False))
        unsure = self.judge([8, 8, 11, 12, 12], [10] * 5, at_least=1)
        self.assertEqual((unsure.state, unsure.is_clear), ("reached", False))
        unsure = self.judge([8, 8, 9, 11, 12], [10] * 5, at_least=1)
        self.assertEqual((unsure.state, unsure.is_clear), ("missed", False))
        clear = self.judge([8, 8, 9, 9], [10] * 4, at_least=1)
        self.assertEqual((clear.state, clear.is_clear), ("missed", True))

    def test_without_the_other_one_nothing_is_said(self):
        outcome = self.judge([1, 2], [], at_most=1)
        self.assertEqual((outcome.state, outcome.text), ("unknown", "not measured"))

    def test_a_target_without_another_server_is_a_plain_limit(self):
        plain = Target("memory", "start", "bytes", "mine", at_most=80, unit="bytes")
        outcome = figures.judge(plain, measured("start", "mine", "bytes", 70, 90, 100))
        self.assertEqual((outcome.state, outcome.value.median, outcome.text),
                         ("missed", 90, "missed by 12 %"))

    def test_other_series_and_figures_do_not_count(self):
        outcome = figures.judge(target(at_most=1), measured("other", "mine", "cpu", 1)
                                + measured("mixed", "other", "cpu", 1)
                                + measured("mixed", "mine", "memory", 1))
        self.assertEqual(outcome.state, "unknown")


class TheTable(unittest.TestCase):
    def test_every_target_has_one_limit_and_is_about_servers_of_its_series(self):
        for one in table.TARGETS:
            self.assertEqual((one.at_most is None) + (one.at_least is None), 1, one.what)
            series = table.SERIES.get(one.series)
            if series is not None:
                self.assertIn(one.server, series.servers)
                self.assertIn(one.against or one.server, series.servers)
                self.assertIn(series.group, table.GROUPS)

    def test_where_satchel_is_held_against_the_transport_there_is_a_floor(self):
        floors = [one for one in table.TARGETS if one.floor]
        self.assertEqual({one.series for one in floors},
                         {"mixed-p1", "mixed-p16", "set-p16", "workers-p1"})
        for one in table.TARGETS:
            self.assertTrue(one.floor or one.against != "null", one.what)
        for one in floors:
            self.assertLessEqual({*one.floor.null, *one.floor.floor},
                                 set(table.SERIES[one.series].servers), one.what)

    def test_no_two_targets_say_the_same(self):
        keys = [(one.series, one.figure, one.server, one.against) for one in table.TARGETS]
        self.assertEqual(len(set(keys)), len(keys))


class OfTheLoad(unittest.TestCase):
    told = {"result": {"ops_per_s": 500.0, "operations": 1000, "operations_total": 4000,
                       "client_cpu_us_per_op": None,
                       "latency_us": {"get": {"count": 10, "p50": 1, "p99": 2, "p999": 3},
                                      "set": {"count": 0, "p50": None}}}}

    def test_cpu_counts_all_operations(self):
        self.assertEqual(load.figures(self.told, 0.02)["cpu_us_per_op"], 5.0)

    def test_what_was_put_off_adds_to_cpu_and_time(self):
        found = load.figures(self.told, 0.02, put_off_s=0.002)
        self.assertAlmostEqual(found["cpu_us_per_op"], 2005.0)
        self.assertAlmostEqual(found["put_off_cpu_us_per_op"], 2000.0)
        self.assertAlmostEqual(found[load.CPU_AT_ONCE], 5.0)
        self.assertAlmostEqual(found["ops_per_s"], 250.0)  # 2 ms each, and 2 ms later

    def test_what_did_not_happen_has_no_figures(self):
        found = load.figures(self.told, 0.02)
        self.assertEqual(found["get_p99_us"], 2)
        self.assertNotIn("set_p50_us", found)
        self.assertNotIn("client_cpu_us_per_op", found)


if __name__ == "__main__":
    unittest.main(verbosity=2)
