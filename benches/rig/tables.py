"""Tables in Markdown, and how numbers are written in them."""

import math

from . import peers, stats
from .peers import PEERS
from .workloads import FIGURES, SCALING, WORKLOADS


def number(value, unit=""):
    """Three digits, which is more than the spread allows anyway; rates in thousands."""
    if value is None or not math.isfinite(value):
        return "-"
    if unit == "/s" and abs(value) >= 1e6:
        return f"{value / 1e6:.3g}M"
    if unit == "/s" and abs(value) >= 1000:
        return f"{value / 1000:.3g}k"
    if abs(value) < 100:
        return f"{value:.3g}" if abs(value) >= 0.001 else "0"
    digits = max(0, len(str(int(abs(value)))) - 3)
    return f"{round(value, -digits):,.0f}"


def with_unit(value, unit):
    """For prose and narrow tables: the number and its unit."""
    return number(value, unit) + (unit if unit == "/s" else f" {unit}" if unit else "")


def ratio(summary):
    return f"{summary.median:.2f}" if summary and summary.median < 100 else number(summary and summary.median)


def span(summary):
    return f"{number(summary.least)}..{number(summary.most)}" if summary else "-"


def table(head, rows, texts=1):
    """So many columns are text, the others are numbers."""
    lines = [head, ["---"] * texts + ["---:"] * (len(head) - texts), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def why_not(raw, workload, peer):
    """Why there is no figure: by the table, left out at the start, or as it ended."""
    known = peers.cannot(peer, workload.name) or raw.facts.get("missing", {}).get(peer)
    return known or next((found["na"] for _, found in raw.of(workload.name, peer) if "na" in found), None)


def measured_peers(raw, workload):
    """Those with a figure, the best first."""
    found = {name: stats.of(raw, workload.name, name, workload.primary) for name in PEERS}
    found = {name: each for name, each in found.items() if each}
    return sorted(found, key=lambda name: found[name].median * (1 if workload.less else -1))


def overview(raw, workloads):
    """The workloads of a group beside each other: medians, a column for each peer that has any."""
    columns = [name for name in PEERS if any(stats.of(raw, each.name, name, each.primary) for each in workloads)]
    rows = []
    for each in workloads:
        unit = FIGURES[each.primary].unit
        cells = []
        for name in columns:
            found = stats.of(raw, each.name, name, each.primary)
            cells.append(number(found.median, unit) if found else "")
        best = "more is better" if not each.less else "less is better"
        rows.append([f"`{each.name}`: {each.text} ({each.primary}, {best})", *cells])
    return table(["", *columns], rows) if columns else ""


def details(raw, workload):
    """One workload: all figures of all peers, the best first, and who has none and why."""
    names = measured_peers(raw, workload)
    others = [key for key in workload.figures[1:] if any(stats.of(raw, workload.name, name, key) for name in names)]
    heads = [f"{key}, {FIGURES[key].unit}" if not _says_unit(key) else key for key in (workload.primary, *others)]
    rows = []
    for name in names:
        against = stats.ratio(raw, workload.name, name, workload.base, workload.primary)
        found = stats.of(raw, workload.name, name, workload.primary)
        more = [stats.of(raw, workload.name, name, key) for key in others]
        cells = [number(each.median, FIGURES[key].unit) if each else "-" for key, each in zip(others, more)]
        rows.append([name, ratio(against), span(against), number(found.median, FIGURES[workload.primary].unit), *cells,
                     found.n])
    head = ["peer", f"/ {workload.base}", "least..most", heads[0], *heads[1:], "n"]
    text = table(head, rows) if rows else ""
    return text + _without(raw, workload, names)


def _says_unit(key):
    return key.rsplit("_", 1)[-1] in ("ns", "us", "ms", "s", "bytes") or not FIGURES[key].unit


def _without(raw, workload, names):
    """Those that have no figure, by reason; and those that failed in between."""
    reasons = {}
    chosen = raw.facts.get("peers", list(PEERS))
    for name, peer in PEERS.items():
        if name in chosen and name not in names and peers.takes_part(peer, workload):
            reasons.setdefault(why_not(raw, workload, name) or "not measured", []).append(name)
    lines = [f"n/a: {', '.join(who)}: {why}\n" for why, who in reasons.items()]
    for name in names:
        failed = [found["na"] for _, found in raw.of(workload.name, name) if "na" in found]
        if failed:
            lines.append(f"{name} failed in {len(failed)} of its rounds: {failed[0]}\n")
    return "\n" + "\n".join(lines) if lines else ""


def scaling(raw):
    """How many times faster two workers are than one."""
    pairs = [(one, two) for one, two in SCALING if {one, two} <= raw.workloads()]
    columns = [name for name in PEERS if any(_scaled(raw, pair, name) for pair in pairs)]
    rows = []
    for one, two in pairs:
        found = [_scaled(raw, (one, two), name) for name in columns]
        rows.append([f"`{one}` to `{two}`", *(ratio(each) if each else "" for each in found)])
    return table(["", *columns], rows) if columns else ""


def _scaled(raw, pair, peer):
    return stats.scaling(raw, *pair, peer, WORKLOADS[pair[0]].primary)


def disturbed(raw):
    """Measurements during which others took the machine, after all tries."""
    return sum(found.get("foreign", 0.0) >= stats.BUSY for _, _, _, found in raw.measurements)
