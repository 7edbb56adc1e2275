"""The order of things: rounds of all workloads, in each all peers in turn, and how long that takes."""

import sys
import time

from . import openloop, peers
from .peers import PEERS
from .workloads import SLOW, WORKLOADS

# For the estimate: a measurement of a quick run, and touching memory.
QUICK_SECS = 0.8
TOUCH_SECS = 0.4


def rounds_of(workload, total):
    """The rounds a workload takes part in: all, or a few spread over the run, the first among them."""
    count = min(workload.rounds or total, total)
    return {number * total // count for number in range(count)}


def peers_of(workload, chosen):
    """The chosen peers that the workload's table has, by table order, without those that cannot."""
    there = [name for name, peer in PEERS.items() if name in chosen and peers.takes_part(peer, workload)]
    return [name for name in there if not peers.cannot(name, workload.name)]


def turn(order, number):
    """The same peers, another one first in each round: who follows whom should hit all alike."""
    first = number % max(1, len(order))
    return order[first:] + order[:first]


def plan(workloads, chosen, total):
    """Each measurement: (round, workload, peer)."""
    for number in range(total):
        for name in workloads:
            workload = WORKLOADS[name]
            if number in rounds_of(workload, total):
                for peer in turn(peers_of(workload, chosen), number):
                    yield number, workload, peer


def seconds(workload, peer, quick, took=None):
    """How long a measurement takes: as in an earlier run, or as the table says."""
    if quick:
        return QUICK_SECS
    if took and (workload.name, peer) in took:
        return took[workload.name, peer]
    return SLOW.get((peer, workload.name), workload.secs)


def took_before(raw):
    """The mean time of each measurement in an earlier run."""
    sums = {}
    for workload, peer, _, found in raw.measurements:
        sums.setdefault((workload, peer), []).append(found.get("took", 0.0))
    return {key: sum(times) / len(times) for key, times in sums.items()}


def estimate(workloads, chosen, total, quick, took=None):
    """Seconds for each workload, all its rounds together."""
    sums = dict.fromkeys(workloads, 0.0)
    if not quick:
        for name in workloads:
            sums[name] += WORKLOADS[name].touch_gib * TOUCH_SECS * len(rounds_of(WORKLOADS[name], total))
    for _, workload, peer in plan(workloads, chosen, total):
        sums[workload.name] += seconds(workload, peer, quick, took)
    return sums


class Run:
    """Carries a plan out, and can go on with one that was interrupted."""

    def __init__(self, rig, raw, folder):
        self.rig, self.raw, self.folder = rig, raw, folder
        self.done = {(workload, peer, number) for workload, peer, number, _ in raw.measurements}
        self.began = time.monotonic()

    def all(self, workloads, chosen, total):
        last = None
        try:
            for number, workload, peer in plan(workloads, chosen, total):
                if (workload.name, peer, number) in self.done or self.given_up(workload.name, peer):
                    continue
                if last != (number, workload):
                    last = number, workload
                    self.raw.save(self.folder)
                    self.rig.prepare(workload)
                self.one(number, total, workload, peer)
        finally:
            # An interruption loses the measurement that is going on, the machine's end the last few.
            self.raw.save(self.folder)

    def given_up(self, workload, peer):
        """It has failed twice: it will again, and some failures take a minute."""
        return sum("na" in found for _, found in self.raw.of(workload, peer)) >= 2

    def one(self, number, total, workload, peer):
        if workload.kind == "open" and not self.rig.rates:
            self.rig.rates, weakest = openloop.rates(self.raw)
            self.raw.facts["open_rates"] = {str(share): rate for share, rate in self.rig.rates.items()}
            self.raw.facts["open_weakest"] = weakest
        found = self.rig.measure(PEERS[peer], workload)
        self.raw.add(workload.name, peer, number, found)
        said = found.get("na") or " ".join(f"{key}={value:.5g}" for key, value in found["v"].items())
        others = f"  (others took {found['foreign']:.0%})" if found["foreign"] > 0.08 else ""
        minutes, rest = divmod(int(time.monotonic() - self.began), 60)
        print(f"{minutes:3}:{rest:02} round {number + 1}/{total} {workload.name:<12} {peer:<15} {said}{others}",
              file=sys.stderr, flush=True)
