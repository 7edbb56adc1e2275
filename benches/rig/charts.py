"""The charts of a run, as SVG. Each function draws one of whatever was measured, or says that there is nothing."""

import sys

from . import stats, style
from .peers import PEERS
from .workloads import COUNTS, IN_OPEN_LOOP, ON_CURVES, ON_ECHO_CURVE, SCALING, WORKLOADS

# Workload, figure, what a reader calls it.
SUMMARY = (
    ("switch", "yield, 1 worker"),
    ("switch2", "yield, 2 workers"),
    ("spawn1", "spawn and join, 1 worker"),
    ("spawn", "spawn and join, 2 workers"),
    ("pingpong1", "there and back, 1 worker"),
    ("wake1", "waking 1,000 tasks"),
    ("skynet", "a million tasks in a tree"),
    ("echo1same", "echo, 1 connection, one CPU"),
    ("echo50", "echo, 50 connections, 1 worker"),
    ("echo500x2", "echo, 500 connections, 2 workers"),
    ("http1", "HTTP, 1 worker"),
    ("http2", "HTTP, 2 workers"),
)
SUMMARISED = ("go", "may", "monoio", "ours+lean", "ours")
ECHO_POINTS = {"echo1": 1, "echo10": 10, "echo50": 50, "echo500": 500, "echo2000": 2000, "echo10000": 10000}
SCALED = ("ours", "ours+lean", "tokio", "go", "may", "monoio")
# Which charts stand where in the report.
OF_GROUP = {"curves": ("curves", "echo"), "open": ("open",), "memory": ("memory",), "events": ("events",)}


def summary(raw):
    """Speed beside tokio's, on a logarithmic axis: a row for each workload, a mark for each peer."""
    rows = [(name, text) for name, text in SUMMARY if any(_speed(raw, name, peer) for peer in SUMMARISED)]
    if not rows:
        return None
    figure, axes = style.panels(1, 8.2, 1.2 + 0.3 * len(rows))
    axis = axes[0]
    axis.axvline(1, color=style.colour("tokio"), linewidth=1.4, label="tokio", zorder=1)
    for peer in SUMMARISED:
        points = [(_speed(raw, name, peer), -place) for place, (name, _) in enumerate(rows)]
        points = [point for point in points if point[0]]
        ours = peer.startswith("ours")
        axis.scatter([at for at, _ in points], [row for _, row in points], color=style.colour(peer), label=peer,
                     marker=style.mark(peer), s=46 if ours else 26, zorder=4 if ours else 2, linewidths=0)
    axis.set_xscale("log")
    axis.set_yticks([-place for place in range(len(rows))], [text for _, text in rows])
    axis.set_xlabel("times as fast as tokio (to the right is better)")
    _plain_ticks(axis.xaxis)
    style.legend(figure, axes, 6)
    return figure


def _speed(raw, workload, peer):
    found = stats.ratio(raw, workload, peer, "tokio", WORKLOADS[workload].primary)
    if not found or not found.median:
        return None
    return 1 / found.median if WORKLOADS[workload].less else found.median


def _plain_ticks(axis):
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:.3g}"))
    axis.set_minor_formatter(NullFormatter())


def _lines(axis, raw, peers, points, figure):
    """A line for each peer over the points: workload -> place on the axis."""
    for peer in peers:
        found = {place: stats.of(raw, name, peer, figure) for name, place in points.items()}
        found = {place: each.median for place, each in found.items() if each}
        if found:
            axis.plot(list(found), list(found.values()), color=style.colour(peer), marker=style.mark(peer), label=peer,
                      linestyle="--" if peer == "raw epoll" else "-")
    return bool(axis.lines)


def curves(raw):
    """Switch and wake over the number of tasks."""
    figure, axes = style.panels(2, 8.6, 3.4)
    found = False
    titles = {"switch": "A yield among N tasks", "wake": "Waking N waiting tasks, for each"}
    for axis, (name, title) in zip(axes, titles.items()):
        found |= _lines(axis, raw, ON_CURVES, {f"{name}_{power}": tasks for power, tasks in COUNTS.items()}, "ns")
        axis.set(title=title, xlabel="tasks", ylabel="ns (less is better)", xscale="log", yscale="log")
        _plain_ticks(axis.yaxis)
    style.legend(figure, axes, 6)
    return figure if found else None


def echo(raw):
    """Messages and the server's CPU time over the number of connections."""
    figure, axes = style.panels(2, 8.6, 3.4)
    found = _lines(axes[0], raw, ON_ECHO_CURVE, ECHO_POINTS, "msgs_s")
    _lines(axes[1], raw, ON_ECHO_CURVE, ECHO_POINTS, "cpu_us")
    axes[0].set(title="Echo, 1 worker", ylabel="messages a second (more is better)")
    axes[0].yaxis.set_major_formatter(lambda value, _: f"{value / 1000:,.0f}k")
    axes[1].set(title="The server's CPU time", ylabel="us a message (less is better)")
    for axis in axes:
        axis.set(xlabel="connections", xscale="log")
        axis.set_ylim(bottom=0)
    style.legend(figure, axes, 7)
    return figure if found else None


def open_loop(raw):
    """Latencies when messages come on schedule."""
    names = [name for name, each in WORKLOADS.items() if each.kind == "open" and name in raw.workloads()]
    if not names:
        return None
    figure, axes = style.panels(len(names), 8.6, 3.2)
    steps = (("p50_us", "median", "o"), ("p99_us", "99 %", "s"), ("p999_us", "99.9 %", "D"), ("max_us", "worst", "_"))
    for axis, name in zip(axes, names):
        peers = [peer for peer in IN_OPEN_LOOP if stats.of(raw, name, peer, "p99_us")]
        for key, label, mark in steps:
            values = [stats.of(raw, name, peer, key) for peer in peers]
            axis.scatter(range(len(peers)), [each.median if each else float("nan") for each in values],
                         color=[style.colour(peer) for peer in peers], marker=mark, s=34)
            axis.scatter([], [], color=style.OTHER, marker=mark, s=34, label=label)
        share = WORKLOADS[name].args.rsplit("=", 1)[1]
        axis.set(title=f"Latency at {share} % of the weakest's capacity", ylabel="us (less is better)", yscale="log")
        axis.set_xticks(range(len(peers)), peers, rotation=35, ha="right")
        _plain_ticks(axis.yaxis)
    limits = [axis.get_ylim() for axis in axes]
    for axis in axes:
        axis.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    style.legend(figure, axes, 4)
    return figure


def memory(raw):
    """What a sleeping task and a used connection hold: resident, page tables, kernel."""
    shown = [(name, title) for name, title in (("idle20k", "A sleeping task, of 20,000"), ("hold", "A used connection"))
             if name in raw.workloads()]
    if not shown:
        return None
    figure, axes = style.panels(len(shown), 8.6, 3.4)
    parts = (("bytes", "resident", "#0a56a8"), ("pte_bytes", "page tables", "#62aee8"),
             ("kernel_bytes", "kernel", "#c9c9c9"))
    for axis, (name, title) in zip(axes, shown):
        peers = [peer for peer in PEERS if stats.of(raw, name, peer, "bytes")]
        left = [0.0] * len(peers)
        for key, label, paint in parts:
            found = [stats.of(raw, name, peer, key) for peer in peers]
            values = [max(0.0, each.median) if each else 0.0 for each in found]
            axis.barh(peers, values, left=left, color=paint, label=label, height=0.65)
            left = [a + b for a, b in zip(left, values)]
        axis.set(title=title, xlabel="bytes (less is better)")
        axis.invert_yaxis()
        axis.grid(axis="y", visible=False)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axis.locator_params(axis="x", nbins=5)
    style.legend(figure, axes, 3)
    return figure


def _bars(axis, groups, peers, value):
    """Bars side by side: for each group one of each peer."""
    width = 0.8 / max(1, len(peers))
    for place, peer in enumerate(peers):
        heights = [value(group, peer) or 0.0 for group in groups]
        at = [index + (place - (len(peers) - 1) / 2) * width for index in range(len(groups))]
        axis.bar(at, heights, width * 0.92, color=style.colour(peer), label=peer)
    axis.grid(axis="x", visible=False)


def scaling(raw):
    """How many times faster the second worker makes it."""
    pairs = [pair for pair in SCALING if set(pair) <= raw.workloads()]
    if not pairs:
        return None
    figure, axes = style.panels(1, 8.2, 2.8)

    def value(pair, peer):
        found = stats.scaling(raw, *pair, peer, WORKLOADS[pair[0]].primary)
        return found.median if found else None

    _bars(axes[0], pairs, SCALED, value)
    axes[0].axhline(1, color="#666666", linewidth=1)
    axes[0].set_xticks(range(len(pairs)), [two.removesuffix("2") for _, two in pairs])
    axes[0].set(title="From one worker to two", ylabel="times as fast (2 is perfect)")
    style.legend(figure, axes, 6)
    return figure


def events(raw):
    """The channel by itself beside a queue without events."""
    names = [name for name, each in WORKLOADS.items() if each.kind == "events" and name in raw.workloads()]
    if not names:
        return None
    figure, axes = style.panels(1, 8.2, 2.8)

    def value(name, peer):
        found = stats.of(raw, name, peer, "ns")
        return found.median if found else None

    _bars(axes[0], names, ("ours", "ours+epoll", "crossbeam"), value)
    axes[0].set_xticks(range(len(names)), [WORKLOADS[name].text.replace(", up", ",\nup").replace(", one", ",\none")
                                           for name in names])
    axes[0].set(title="From post to get", ylabel="ns an event (less is better)")
    style.legend(figure, axes, 3)
    return figure


CHARTS = {"summary": summary, "curves": curves, "echo": echo, "open": open_loop, "memory": memory, "scaling": scaling,
          "events": events}


def draw_all(raw, folder):
    """The names of the charts that could be drawn."""
    if not style.available():
        print("no charts: there is no matplotlib", file=sys.stderr)
        return []
    drawn = []
    for name, make in CHARTS.items():
        figure = make(raw)
        if figure:
            style.save(figure, folder, name)
            drawn.append(name)
    return drawn
