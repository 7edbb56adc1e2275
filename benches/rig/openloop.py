"""The rate of the open loop: a share of what the weakest of its peers can take, the same for all of them."""

import statistics

from .workloads import IN_OPEN_LOOP, WORKLOADS

# Where the capacity comes from: the closed loop with as many connections and workers.
CAPACITY = "echo50"


def shares():
    return sorted({int(word.removeprefix("share=")) for workload in WORKLOADS.values() if workload.kind == "open"
                   for word in workload.args.split() if word.startswith("share=")})


def rates(raw):
    """Messages a second for each share (in percent), and the weakest peer; nothing if no capacity is known yet."""
    capacity = {}
    for peer in IN_OPEN_LOOP:
        values = [found["v"]["msgs_s"] for _, found in raw.of(CAPACITY, peer) if "v" in found]
        if values:
            capacity[peer] = statistics.median(values)
    if not capacity:
        return {}, None
    weakest = min(capacity, key=capacity.get)
    return {share: round(capacity[weakest] * share / 100) for share in shares()}, weakest
