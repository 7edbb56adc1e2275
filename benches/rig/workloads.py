"""The workloads: the arguments of each, the figures it gives, and where these are shown."""

from dataclasses import dataclass

LESS, MORE = "less", "more"


@dataclass(frozen=True)
class Figure:
    unit: str
    better: str
    text: str


FIGURES = {
    "ns": Figure("ns", LESS, "time for one operation"),
    "ms": Figure("ms", LESS, "time for the whole"),
    "s": Figure("s", LESS, "time until all are there"),
    "bytes": Figure("bytes", LESS, "resident bytes for each"),
    "pte_bytes": Figure("bytes", LESS, "page tables for each"),
    "kernel_bytes": Figure("bytes", LESS, "kernel memory for each (approximate)"),
    "peak_bytes": Figure("bytes", LESS, "resident and page tables for each, all at the bottom"),
    "after_bytes": Figure("bytes", LESS, "of that still there 3 s after all have ended"),
    "over_ms": Figure("ms", LESS, "over the 2 s that the longest sleep lasts, spawning included"),
    "cpu_s": Figure("s", LESS, "CPU time of the whole"),
    "late_mean_us": Figure("us", LESS, "mean lateness"),
    "late_p50_us": Figure("us", LESS, "lateness, median"),
    "late_p99_us": Figure("us", LESS, "lateness, 99 %"),
    "late_p999_us": Figure("us", LESS, "lateness, 99.9 %"),
    "late_5ms": Figure("", LESS, "of 100,000 ticks late by more than 5 ms"),
    "late_max_us": Figure("us", LESS, "lateness, worst"),
    "ticks_s": Figure("/s", MORE, "ticks of a 1 ms timer meanwhile"),
    "echo_rtt_s": Figure("/s", MORE, "round trips of one connection meanwhile"),
    "threads": Figure("", LESS, "threads at the end"),
    "finished": Figure("", MORE, "1: it ended; 0: it hung"),
    "reads_s": Figure("/s", MORE, "reads of 4 KiB"),
    "msgs_s": Figure("/s", MORE, "messages"),
    "conns_s": Figure("/s", MORE, "connections"),
    "reqs_s": Figure("/s", MORE, "requests"),
    "p50_us": Figure("us", LESS, "latency, median"),
    "p99_us": Figure("us", LESS, "latency, 99 %"),
    "p999_us": Figure("us", LESS, "latency, 99.9 %"),
    "max_us": Figure("us", LESS, "latency, worst"),
    "late_us": Figure("us", LESS, "how late the load itself was, 99 %"),
    "lost": Figure("", LESS, "datagrams without an answer in 200 ms"),
    "share": Figure("", MORE, "what the one with the least has got, of an equal share"),
    "most": Figure("", LESS, "what the one with the most has got, of an equal share"),
    "ops_s": Figure("/s", MORE, "operations of all"),
    "cpu_us": Figure("us", LESS, "the server's CPU time for each"),
}

# Sorted for the report: key, title.
GROUPS = {
    "tasks": "Switching, spawning, waking",
    "waiting": "Locks, channels, a chat",
    "curves": "With growing work",
    "servers": "Servers, closed loop",
    "open": "Servers, open loop",
    "memory": "Memory",
    "timers": "Timers",
    "blocking": "Blocking calls and files",
    "events": "The channel by itself",
}


@dataclass(frozen=True)
class Workload:
    name: str
    # one: a program that ends by itself; else the kind of server (echo, http, udp, accept, open, hold, events, chat).
    kind: str
    args: str
    # The first is the one that is compared.
    figures: tuple
    group: str
    text: str
    # How long one measurement takes, about, all included: for the estimate.
    secs: float = 0.6
    # Fewer rounds than the others.
    rounds: int = 0
    # Its peers; empty: all that say they take part.
    peers: tuple = ()
    # Arguments that make it short, for --quick.
    quick: str = ""
    # Whom the others are compared with.
    base: str = "tokio"
    # Takes gigabytes: so much memory is touched before, that the first peer does not pay for the others.
    touch_gib: int = 0

    @property
    def primary(self):
        return self.figures[0]

    @property
    def less(self):
        return FIGURES[self.primary].better == LESS


NS = ("ns",)
ECHO = ("msgs_s", "p50_us", "p99_us", "cpu_us")
CHAT = ("msgs_s", "p50_us", "p99_us", "threads", "cpu_us")
CHAT_OPEN = ("p99_us", "p50_us", "max_us", "threads", "cpu_us")
OPEN = ("p99_us", "p50_us", "p999_us", "max_us", "late_us", "cpu_us")
TIMERS = ("over_ms", "cpu_s", "late_mean_us", "late_max_us")
IDLE = ("bytes", "pte_bytes", "kernel_bytes", "s")
ON_CURVES = ("ours", "ours+lean", "tokio", "go", "may", "monoio")
ON_ECHO_CURVE = ("ours", "ours+epoll", "tokio", "go", "may", "monoio", "raw epoll")
IN_OPEN_LOOP = ON_ECHO_CURVE
OF_MILLIONS = ("ours", "ours+lean", "tokio", "may", "smol", "monoio", "go", "threads")
OF_EVENTS = ("ours", "ours+epoll", "crossbeam")
OF_LOCKS = ("ours", "ours+std", "ours+parking_lot", "tokio", "may", "go", "threads", "threads+parking_lot")
OF_CHANNELS = ("ours", "tokio", "tokio+current", "may", "go", "threads")
OF_TOKENS = ("ours", "ours+park", "tokio", "tokio+current", "may", "go", "threads")
OF_SHARES = ("ours", "tokio", "go", "threads")
OF_CHAT = ("ours", "ours+std", "ours+epoll", "tokio", "may", "go", "threads")
OF_DATAGRAMS = ("ours", "ours+epoll", "tokio", "tokio+current", "may", "smol", "monoio", "compio", "glommio", "go",
                "threads", "raw epoll")

# What a million tasks take at most.
OF_A_MILLION = 10
# Tasks on a curve, and how often each is switched to.
COUNTS = {"1e2": 100, "1e3": 1_000, "1e4": 10_000, "1e5": 100_000, "1e6": 1_000_000}


def _echo(name, workers, conns, text, more="", **rest):
    return Workload(name, "echo", f"workers={workers} conns={conns}{more}", ECHO, rest.pop("group", "servers"), text,
                    rest.pop("secs", 1.35), quick="secs=0.2", **rest)


def _switch_curve(exponent, tasks):
    each, large = max(2, 1_000_000 // tasks), tasks == 1_000_000
    return Workload(f"switch_{exponent}", "one", f"switch workers=1 tasks={tasks} n={each}", NS, "curves",
                    f"a yield among {tasks:,} tasks", secs=5.0 if large else 0.7, rounds=3,
                    peers=ON_CURVES, quick=f"tasks={min(tasks, 1000)} n=100", touch_gib=OF_A_MILLION if large else 0)


def _wake_curve(exponent, tasks):
    large = tasks == 1_000_000
    return Workload(f"wake_{exponent}", "one", f"wake workers=1 tasks={tasks}", NS, "curves",
                    f"waking all of {tasks:,} waiting tasks, for each", secs=5.0 if large else 1.2, rounds=3,
                    peers=ON_CURVES, quick=f"tasks={min(tasks, 1000)}", touch_gib=OF_A_MILLION if large else 0)


def _open(name, share):
    return Workload(name, "open", f"workers=1 conns=50 share={share}", OPEN, "open",
                    f"messages sent on schedule at {share} % of what the weakest of these can take", secs=1.9, rounds=5,
                    peers=IN_OPEN_LOOP, quick="secs=0.3")


def _events(posters, getters, batch):
    kind = f"{posters} to post, {getters} to get, " + ("one at a time" if batch == 1 else f"up to {batch} at a time")
    args = f"posters={posters} getters={getters} batch={batch}"
    return Workload(f"events{posters}x{getters}_{batch}", "events", args, NS, "events", kind, secs=0.5,
                    peers=OF_EVENTS, base="crossbeam", quick="n=20000")


def _chan(workers, senders, receivers, capacity):
    """Of one worker with a 1 behind the name, as elsewhere."""
    name = ("chan" if capacity else "queue") + ("1" if workers == 1 else "")
    text = (f"a message, {senders} to send, {receivers} to receive, {workers} worker{'s' if workers > 1 else ''}, "
            + (f"{capacity} places" if capacity else "no bound"))
    args = f"chan workers={workers} senders={senders} receivers={receivers} capacity={capacity} n=400000"
    return Workload(f"{name}_{senders}x{receivers}", "one", args, NS, "waiting", text, secs=0.4, peers=OF_CHANNELS,
                    quick="n=8000")


def _fair(of, workers, what):
    text = f"64 tasks, {what}, for a second, {workers} worker{'s' if workers > 1 else ''}"
    return Workload(f"fair_{of}{workers}", "one", f"fair of={of} workers={workers}", ("share", "most", "ops_s"),
                    "waiting", text, secs=1.3, rounds=3, peers=OF_SHARES, quick="secs=0.1")


FAIR = {"lock": "short sections of a lock", "held": "sections of a lock that are yielded in", "send": "sends to one",
        "recv": "receives from one"}

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("switch", "one", "switch workers=1 n=400000", NS, "tasks", "a yield, 2 tasks, 1 worker", 0.35,
                 quick="n=10000"),
        Workload("switch2", "one", "switch workers=2 n=400000", NS, "tasks", "a yield, 4 tasks, 2 workers", 0.35,
                 quick="n=10000"),
        Workload("spawn1", "one", "spawn workers=1 n=500000", NS, "tasks", "spawn and join, 1 worker", 0.35,
                 quick="n=10000"),
        Workload("spawn", "one", "spawn workers=2 n=500000", NS, "tasks", "spawn and join, 2 workers", 0.4,
                 quick="n=10000"),
        Workload("pingpong1", "one", "pingpong workers=1 n=400000", NS, "tasks",
                 "there and back between 2 tasks, 1 worker", 0.35, quick="n=2000"),
        Workload("pingpong", "one", "pingpong workers=2 n=400000", NS, "tasks",
                 "there and back between 2 tasks, 2 workers", 0.4, quick="n=2000"),
        Workload("wake1", "one", "wake workers=1 tasks=1000", NS, "tasks", "waking 1,000 tasks, for each, 1 worker",
                 1.1, rounds=5),
        Workload("wake", "one", "wake workers=2 tasks=1000", NS, "tasks", "waking 1,000 tasks, for each, 2 workers",
                 1.1, rounds=5),
        Workload("skynet1", "one", "skynet workers=1", ("ms",), "tasks", "a million tasks in a tree, 1 worker", 2.0,
                 rounds=3, peers=OF_MILLIONS, touch_gib=OF_A_MILLION),
        Workload("skynet", "one", "skynet workers=2", ("ms",), "tasks", "a million tasks in a tree, 2 workers", 2.0,
                 rounds=3, touch_gib=OF_A_MILLION),
        Workload("lock", "one", "lock workers=1 n=20000000", NS, "waiting", "a free lock is taken and left", 0.6,
                 peers=OF_LOCKS, base="ours+parking_lot", quick="n=100000"),
        Workload("contended", "one", "contended workers=2 n=1000000", NS, "waiting",
                 "a section of some 40 ns, 8 tasks that want it and some 40 ns between, 2 workers", 0.6,
                 peers=OF_LOCKS, base="threads", quick="n=20000"),
        Workload("token1", "one", "token workers=1 n=400000", NS, "waiting",
                 "there and back between 2 tasks that wake each other, 1 worker", 0.4, peers=OF_TOKENS,
                 base="tokio+current", quick="n=2000"),
        *(_chan(workers, senders, receivers, capacity) for capacity in (64, 0) for workers in (1, 2)
          for senders, receivers in ((1, 1), (8, 1), (8, 8))),
        *(_fair(of, workers, what) for of, what in FAIR.items() for workers in (1, 2, 8)),
        Workload("chat", "chat", "workers=2 conns=500 room=10", CHAT, "waiting",
                 "a chat: 500 talkers in rooms of ten, each says its next line when it has heard its last one", 2.3,
                 rounds=5, peers=OF_CHAT, quick="conns=50 secs=0.2"),
        Workload("chat_open", "chat", "workers=2 conns=500 room=10 rate=1000", CHAT_OPEN, "waiting",
                 "the same, a thousand lines a second on schedule", 2.3, rounds=5, peers=OF_CHAT,
                 quick="conns=50 secs=0.2"),
        *(_switch_curve(*count) for count in COUNTS.items()),
        *(_wake_curve(*count) for count in COUNTS.items()),
        _echo("echo1", 1, 1, "echo of 64 bytes, 1 connection, server and load on a CPU each"),
        _echo("echo1same", 1, 1, "the same, server and load on the same CPU", " same=1"),
        _echo("echo50", 1, 50, "echo, 50 connections, a CPU each"),
        _echo("echo500", 1, 500, "echo, 500 connections, a CPU each"),
        _echo("echo50x2", 2, 50, "echo, 50 connections, server with 2 workers, load beside it"),
        _echo("echo500x2", 2, 500, "echo, 500 connections, server with 2 workers, load beside it"),
        Workload("http1", "http", "workers=1 conns=64", ("reqs_s", "p99_us", "cpu_us"), "servers",
                 "HTTP, 64 connections, server and wrk on a CPU each", 1.3),
        Workload("http2", "http", "workers=2 conns=64", ("reqs_s", "p99_us", "cpu_us"), "servers",
                 "HTTP, 64 connections, server with 2 workers, wrk beside it", 1.3),
        _echo("bulk", 1, 8, "echo of 64 KiB, 8 connections", " size=65536 buf=65536", rounds=5),
        Workload("accept", "accept", "workers=1 conns=8", ("conns_s", "p50_us", "p99_us", "cpu_us"), "servers",
                 "connect, one echo, close; 8 at a time", 1.35, rounds=5, quick="secs=0.2"),
        Workload("udp", "udp", "workers=1 conns=50", ("msgs_s", "p50_us", "p99_us", "lost", "cpu_us"), "servers",
                 "echo of 64-byte datagrams, 50 clients, a CPU each", 1.35, rounds=5, peers=OF_DATAGRAMS,
                 quick="secs=0.2"),
        _echo("echo10", 1, 10, "echo, 10 connections", group="curves", rounds=3, peers=ON_ECHO_CURVE),
        _echo("echo2000", 1, 2000, "echo, 2,000 connections", group="curves", rounds=3, peers=ON_ECHO_CURVE, secs=1.6),
        _echo("echo10000", 1, 10000, "echo, 10,000 connections", group="curves", rounds=3, peers=ON_ECHO_CURVE,
              secs=2.5),
        _open("open50", 50),
        _open("open80", 80),
        Workload("idle20k", "one", "idle workers=2 n=20000", IDLE, "memory", "20,000 tasks asleep", 0.8, rounds=3),
        Workload("idle1m", "one", "idle workers=2 n=1000000", IDLE, "memory", "1,000,000 tasks asleep", 2.0, rounds=3,
                 quick="n=20000", touch_gib=OF_A_MILLION),
        Workload("deep", "one", "deep workers=2 n=10000 depth=65536", ("peak_bytes", "after_bytes", "s"), "memory",
                 "10,000 tasks 64 KiB deep, and after they have ended", 4.5, rounds=3, peers=OF_MILLIONS,
                 quick="n=1000"),
        Workload("hold", "hold", "workers=1 conns=2000", IDLE[:3], "memory", "2,000 connections that have been used",
                 1.2, rounds=3, quick="conns=200"),
        Workload("timers20k", "one", "timers workers=2 n=20000", TIMERS, "timers", "20,000 sleeps within 2 s", 2.3,
                 rounds=3, quick="n=1000"),
        Workload("timers", "one", "timers workers=2 n=1000000", TIMERS, "timers", "1,000,000 sleeps within 2 s", 4.0,
                 rounds=3, quick="n=20000", touch_gib=OF_A_MILLION),
        Workload("block", "one", "block workers=2 secs=1",
                 ("late_p999_us", "late_5ms", "late_p50_us", "late_p99_us", "late_max_us", "ticks_s", "echo_rtt_s", "threads"),
                 "blocking", "64 tasks that sleep in the kernel: what a timer and a connection still get", 2.6),
        Workload("hogs", "one", "hogs workers=2 secs=2", ("p99_us", "p50_us", "max_us", "threads"), "blocking",
                 "8 tasks compute for 2 s: what a connection gets, 1,000 messages a second", 3.0, rounds=10),
        Workload("mutex", "one", "mutex workers=2 secs=1", ("finished", "ms"), "blocking",
                 "8 tasks block on a lock whose holder waits for a timer", 0.7, rounds=2),
        Workload("mutex_io", "one", "mutex workers=2 io=1 secs=1", ("finished", "ms"), "blocking",
                 "8 tasks block on a lock whose holder waits for a connection", 0.7, rounds=2),
        Workload("file", "one", "file workers=2 path={data}", ("reads_s",), "blocking",
                 "random reads of 4 KiB, 64 tasks, cached", 0.5, rounds=3),
        _events(1, 1, 1),
        _events(1, 1, 32),
        _events(8, 8, 1),
        _events(8, 8, 32),
    )
}

# One worker, two workers: how much faster the second makes it.
SCALING = (("switch", "switch2"), ("spawn1", "spawn"), ("pingpong1", "pingpong"), ("wake1", "wake"),
           ("skynet1", "skynet"))

# Peers whose start alone takes long: (peer, workload) -> seconds in place of the workload's.
SLOW = {
    ("ours", "switch_1e6"): 17.0,
    ("ours+lean", "switch_1e6"): 8.0,
    ("ours", "wake_1e6"): 18.0,
    ("ours+lean", "wake_1e6"): 9.0,
    ("ours", "idle1m"): 17.0,
    ("ours+lean", "idle1m"): 8.0,
    ("ours", "timers"): 17.0,
    ("ours+lean", "timers"): 9.0,
    ("go", "idle1m"): 7.0,
    ("go", "switch_1e6"): 7.0,
    ("go", "wake_1e6"): 8.0,
    ("go", "timers"): 9.0,
    ("threads", "hold"): 3.0,
}
