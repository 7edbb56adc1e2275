"""The marks: what this project has set itself, and whether a run shows that it is so."""

from __future__ import annotations

from dataclasses import dataclass

from . import stats
from .peers import PEERS
from .stats import Summary
from .workloads import FAIR

AT_MOST, AT_LEAST = "at most", "at least"
MET, WITHIN, MISSED, UNKNOWN = "met", "met within the spread", "missed", "not measured"
BEST = "the best other runtime"

DEFINITION = (
    "A mark is met when the median of the ratios within the rounds (or of the values) is on its right side. "
    "For marks of *at least 1.00*, which say \"not slower\", *met within the spread* means that the median is below, "
    "but the upper quartile of the ratios reaches the mark: this run cannot tell the two apart."
)


@dataclass(frozen=True)
class Mark:
    workload: str
    peer: str
    figure: str
    side: str
    limit: float
    # Whose figure it is divided by; empty: the figure itself is compared.
    base: str = ""
    # "Not slower": being equal within the run's own spread is enough.
    spread: bool = False


@dataclass(frozen=True)
class Verdict:
    mark: Mark
    found: Summary | None
    # Whom it was in the end compared with.
    base: str
    verdict: str


def _not_slower(workload):
    return Mark(workload, "ours", "msgs_s", AT_LEAST, 1.0, "tokio", spread=True)


CHANNELS = ("chan1_1x1", "chan_1x1", "chan1_8x8", "chan_8x8", "queue1_1x1", "queue_1x1", "queue1_8x8", "queue_8x8")

MARKS = (
    Mark("switch", "ours", "ns", AT_MOST, 1.7, "may"),
    Mark("switch", "ours+lean", "ns", AT_MOST, 0.7, "may"),
    Mark("spawn1", "ours", "ns", AT_MOST, 1.0, "go"),
    Mark("spawn", "ours", "ns", AT_MOST, 1.0, "go"),
    Mark("skynet", "ours", "ms", AT_MOST, 0.5, "tokio"),
    Mark("idle1m", "ours", "bytes", AT_MOST, 10_000),
    Mark("idle1m", "ours+lean", "bytes", AT_MOST, 5_000),
    Mark("lock", "ours", "ns", AT_MOST, 2.0, "ours+parking_lot"),
    Mark("contended", "ours", "ns", AT_MOST, 1.0, "threads"),
    *(Mark(name, "ours", "ns", AT_MOST, 1.0, base) for name in CHANNELS for base in ("tokio", "go")),
    Mark("pingpong1", "ours", "ns", AT_MOST, 0.95, "tokio+current"),
    Mark("token1", "ours", "ns", AT_MOST, 0.95, "tokio+current"),
    Mark("token1", "ours+park", "ns", AT_MOST, 0.95, "tokio+current"),
    *(Mark(f"fair_{of}{workers}", "ours", "share", AT_LEAST, 0.333) for of in FAIR for workers in (1, 2, 8)),
    *(Mark(name, "ours", "threads", AT_MOST, 4) for name in ("chat", "chat_open")),
    *(Mark(name, "ours", "p99_us", AT_MOST, 1.2, "tokio") for name in ("chat", "chat_open")),
    _not_slower("echo1same"),
    _not_slower("echo50"),
    Mark("echo50", "ours", "cpu_us", AT_MOST, 1.1, "raw epoll"),
    _not_slower("echo50x2"),
    _not_slower("echo500x2"),
    Mark("http1", "ours", "reqs_s", AT_LEAST, 0.97, BEST),
    Mark("http2", "ours", "reqs_s", AT_LEAST, 0.97, BEST),
)


def others():
    """The runtimes that are not this project."""
    return [name for name, peer in PEERS.items() if peer.runtime and peer.program != "peer-ours"]


def judge(mark, raw):
    if not mark.base:
        found, base = stats.of(raw, mark.workload, mark.peer, mark.figure), ""
    else:
        base = mark.base
        if base == BEST:
            base = stats.best(raw, mark.workload, others(), mark.figure, less=mark.side == AT_MOST) or BEST
        found = stats.ratio(raw, mark.workload, mark.peer, base, mark.figure)
    return Verdict(mark, found, base, _verdict(mark, found))


def _verdict(mark, found):
    if found is None:
        return UNKNOWN
    if mark.side == AT_MOST:
        return MET if found.median <= mark.limit else MISSED
    if found.median >= mark.limit:
        return MET
    return WITHIN if mark.spread and found.upper >= mark.limit else MISSED


def judge_all(raw):
    return [judge(mark, raw) for mark in MARKS]
