"""Medians and ratios."""

import unittest

from rig import stats

from .made_up import fill, raw


class Statistics(unittest.TestCase):
    def test_a_ratio_is_taken_within_the_round(self):
        # The machine doubles its time in round 1; whoever divided medians would see 1.5 or 3.
        results = raw()
        fill(results, "switch", "tokio", "ns", [100, 200, 100, 200])
        fill(results, "switch", "ours", "ns", [50, 100, 50, 100])
        found = stats.ratio(results, "switch", "ours", "tokio", "ns")
        self.assertEqual((found.median, found.least, found.most, found.n), (0.5, 0.5, 0.5, 4))

    def test_a_round_that_only_one_has_does_not_count(self):
        results = raw()
        fill(results, "switch", "tokio", "ns", [100, 100])
        fill(results, "switch", "ours", "ns", [50, 50, 9000])
        self.assertEqual(stats.ratio(results, "switch", "ours", "tokio", "ns").n, 2)

    def test_rounds_that_others_disturbed_are_left_out(self):
        results = raw()
        fill(results, "switch", "ours", "ns", [50, 52])
        results.add("switch", "ours", 2, {"v": {"ns": 500}, "foreign": 0.4})
        self.assertEqual(stats.of(results, "switch", "ours", "ns").most, 52)

    def test_if_all_rounds_are_disturbed_they_count(self):
        results = fill(raw(), "switch", "ours", "ns", [50, 60], foreign=0.4)
        self.assertEqual(stats.of(results, "switch", "ours", "ns").median, 55)

    def test_the_quartiles_of_five(self):
        found = stats.summary([5, 1, 4, 2, 3])
        self.assertEqual((found.lower, found.median, found.upper), (2, 3, 4))

    def test_one_value_is_its_own_quartiles(self):
        found = stats.summary([7])
        self.assertEqual((found.lower, found.median, found.upper, found.n), (7, 7, 7, 1))

    def test_nothing_has_no_summary(self):
        self.assertIsNone(stats.of(raw(), "switch", "ours", "ns"))

    def test_twice_as_fast_with_two_workers_scales_by_two(self):
        results = fill(raw(), "spawn1", "ours", "ns", [100, 200])
        fill(results, "spawn", "ours", "ns", [50, 100])
        self.assertEqual(stats.scaling(results, "spawn1", "spawn", "ours", "ns").median, 2.0)

    def test_the_best_is_the_least_or_the_most(self):
        results = fill(raw(), "http1", "go", "reqs_s", [10])
        fill(results, "http1", "tokio", "reqs_s", [20])
        self.assertEqual(stats.best(results, "http1", ["go", "tokio", "may"], "reqs_s", less=False), "tokio")
        self.assertEqual(stats.best(results, "http1", ["go", "tokio", "may"], "reqs_s", less=True), "go")


if __name__ == "__main__":
    unittest.main()
