"""Which marks are met."""

import unittest

from rig import marks
from rig.marks import AT_LEAST, AT_MOST, BEST, MET, MISSED, UNKNOWN, WITHIN, Mark

from .made_up import fill, raw


class Marks(unittest.TestCase):
    def verdict(self, mark, ours, base=None):
        results = fill(raw(), mark.workload, mark.peer, mark.figure, ours)
        if base:
            fill(results, mark.workload, "tokio", mark.figure, base)
        return marks.judge(mark, results).verdict

    def test_at_most(self):
        mark = Mark("skynet", "ours", "ms", AT_MOST, 0.5, "tokio")
        self.assertEqual(self.verdict(mark, [50, 50, 50], [100, 100, 100]), MET)
        self.assertEqual(self.verdict(mark, [51, 51, 40], [100, 100, 100]), MISSED)

    def test_at_least(self):
        mark = Mark("echo50", "ours", "msgs_s", AT_LEAST, 1.0, "tokio")
        self.assertEqual(self.verdict(mark, [100, 100, 90], [100, 100, 100]), MET)
        self.assertEqual(self.verdict(mark, [99, 99, 120], [100, 100, 100]), MISSED)

    def test_within_the_spread_is_when_the_upper_quartile_reaches_it(self):
        mark = Mark("echo50", "ours", "msgs_s", AT_LEAST, 1.0, "tokio", spread=True)
        self.assertEqual(self.verdict(mark, [96, 97, 98, 101, 102], [100] * 5), WITHIN)
        self.assertEqual(self.verdict(mark, [96, 97, 98, 99, 102], [100] * 5), MISSED)
        self.assertEqual(self.verdict(mark, [96, 97, 100, 101, 102], [100] * 5), MET)

    def test_a_value_by_itself(self):
        mark = Mark("idle1m", "ours", "bytes", AT_MOST, 10_000)
        self.assertEqual(self.verdict(mark, [9_000, 9_900, 11_000]), MET)
        self.assertEqual(self.verdict(mark, [10_100]), MISSED)

    def test_what_was_not_measured_is_not_met(self):
        self.assertEqual(self.verdict(Mark("switch", "ours", "ns", AT_MOST, 1.7, "may"), [1]), UNKNOWN)

    def test_the_best_other_is_no_server_without_a_runtime_nor_this_project(self):
        results = raw()
        fill(results, "http1", "raw epoll", "reqs_s", [400])
        fill(results, "http1", "ours+lean", "reqs_s", [300])
        fill(results, "http1", "go", "reqs_s", [200])
        fill(results, "http1", "tokio", "reqs_s", [100])
        fill(results, "http1", "ours", "reqs_s", [196])
        found = marks.judge(Mark("http1", "ours", "reqs_s", AT_LEAST, 0.97, BEST), results)
        self.assertEqual((found.base, found.verdict, found.found.median), ("go", MET, 0.98))

    def test_every_mark_names_what_is_measured(self):
        from rig import peers
        from rig.workloads import WORKLOADS

        for mark in marks.MARKS:
            workload = WORKLOADS[mark.workload]
            self.assertIn(mark.figure, workload.figures)
            self.assertEqual(peers.PEERS[mark.peer].program, "peer-ours")
            for name in {mark.peer, mark.base} - {"", BEST}:
                self.assertTrue(peers.takes_part(peers.PEERS[name], workload), (mark, name))
                self.assertIsNone(peers.cannot(name, mark.workload))


if __name__ == "__main__":
    unittest.main()
