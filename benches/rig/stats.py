"""Statistics: medians and ratios. The machine's own speed drifts, so peers are compared within a round."""

import statistics
from dataclasses import dataclass

from .measure import BUSY


@dataclass(frozen=True)
class Summary:
    """Of some values: how many, the median, the least and the most, and the quartiles."""

    n: int
    median: float
    least: float
    most: float
    lower: float
    upper: float


def summary(values):
    values = sorted(values)
    if not values:
        return None
    lower, _, upper = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return Summary(len(values), statistics.median(values), values[0], values[-1], lower, upper)


def samples(raw, workload, peer, figure):
    """The figure by round. Rounds in which others took the machine count only if there are no others."""
    found = {number: each for number, each in raw.of(workload, peer) if figure in each.get("v", {})}
    quiet = {number: each for number, each in found.items() if each.get("foreign", 0.0) < BUSY}
    return {number: each["v"][figure] for number, each in (quiet or found).items()}


def of(raw, workload, peer, figure):
    return summary(samples(raw, workload, peer, figure).values())


def quotients(above, below):
    """Round by round, where both have a value."""
    return [above[number] / below[number] for number in sorted(above) if below.get(number)]


def ratio(raw, workload, peer, base, figure, base_figure=None):
    """A peer's figure over another's, within the round."""
    below = samples(raw, workload, base, base_figure or figure)
    return summary(quotients(samples(raw, workload, peer, figure), below))


def scaling(raw, one, two, peer, figure):
    """How many times faster the second worker makes it: time with one over time with two, within the round."""
    return summary(quotients(samples(raw, one, peer, figure), samples(raw, two, peer, figure)))


def best(raw, workload, candidates, figure, less):
    """The candidate with the best median, or None."""
    medians = {peer: found.median for peer in candidates if (found := of(raw, workload, peer, figure))}
    return (min if less else max)(medians, key=medians.get) if medians else None
