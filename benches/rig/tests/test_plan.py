"""The order of the measurements, and what each program is told."""

import unittest

from rig import openloop, peers, rounds
from rig.measure import Rig, of_wrk
from rig.peers import PEERS
from rig.processes import Failed
from rig.workloads import FIGURES, GROUPS, SCALING, WORKLOADS

from .made_up import fill, raw


class Plan(unittest.TestCase):
    def test_few_rounds_are_spread_over_the_run_and_the_first_is_among_them(self):
        self.assertEqual(rounds.rounds_of(WORKLOADS["skynet"], 10), {0, 3, 6})
        self.assertEqual(rounds.rounds_of(WORKLOADS["switch"], 10), set(range(10)))
        self.assertEqual(rounds.rounds_of(WORKLOADS["skynet"], 1), {0})

    def test_each_round_begins_with_another_peer(self):
        self.assertEqual([rounds.turn("abc", number)[0] for number in range(4)], ["a", "b", "c", "a"])

    def test_in_a_round_all_peers_of_a_workload_follow_each_other(self):
        found = [(number, each.name) for number, each, _ in rounds.plan(["switch", "spawn"], ["ours", "tokio"], 2)]
        self.assertEqual(found, [(number, name) for number in range(2) for name in ("switch", "spawn") for _ in "ab"])

    def test_who_cannot_is_not_asked(self):
        self.assertNotIn("monoio", rounds.peers_of(WORKLOADS["switch_1e2"], list(PEERS)))
        self.assertNotIn("ivykis", rounds.peers_of(WORKLOADS["http1"], list(PEERS)))

    def test_the_tables_fit_together(self):
        for workload in WORKLOADS.values():
            self.assertIn(workload.group, GROUPS)
            self.assertLessEqual(set(workload.figures), set(FIGURES))
            self.assertLessEqual(set(workload.peers), set(PEERS))
            there = rounds.peers_of(workload, list(PEERS))
            self.assertIn(workload.base, there, workload.name)
            self.assertIn("ours", there, workload.name)
        self.assertLessEqual({name for pair in SCALING for name in pair}, set(WORKLOADS))
        self.assertLessEqual({peer for peer, _, _ in peers.CANNOT + peers.SIZES}, set(PEERS))

    def test_the_open_loop_takes_shares_of_the_weakest(self):
        results = fill(raw(), "echo50", "ours", "msgs_s", [1000])
        fill(results, "echo50", "go", "msgs_s", [500])
        fill(results, "echo50", "threads", "msgs_s", [10])
        self.assertEqual(openloop.rates(results), ({50: 250, 80: 400}, "go"))


class Arguments(unittest.TestCase):
    def options(self, peer, workload, quick=False):
        rig = Rig.__new__(Rig)
        rig.quick = quick
        return rig.options(PEERS[peer], WORKLOADS[workload])

    def test_a_peers_size_overrides_the_workloads(self):
        self.assertEqual(self.options("tokio", "spawn1")["n"], "500000")
        self.assertEqual(self.options("threads", "spawn1")["n"], "8000")

    def test_quick_overrides_both(self):
        self.assertEqual(self.options("threads", "spawn1", quick=True)["n"], "10000")

    def test_a_peer_has_its_own(self):
        self.assertEqual(self.options("ours+epoll", "echo50"), {"workers": "1", "conns": "50", "driver": "epoll"})

    def test_what_wrk_prints(self):
        text = "    99%    1.50ms\n  2000 requests in 1.00s, 1MB read\nRequests/sec:   1999.5\n"
        self.assertEqual(of_wrk(text, 0.01), {"reqs_s": 1999.5, "p99_us": 1500.0, "cpu_us": 5.0})
        for wrong in ("", text + "Socket errors: connect 0, read 3"):
            with self.assertRaises(Failed):
                of_wrk(wrong, 0.01)


if __name__ == "__main__":
    unittest.main()
