"""The peers: which program each is, with which arguments, in which workloads it takes part, and what it cannot do."""

import fnmatch
from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    name: str
    # Its program in target/release.
    program: str
    # What it is, for the report.
    text: str
    args: str = ""
    # The workloads it takes part in (patterns); empty: all that do not name their peers.
    only: str = ""
    # Its package in Cargo.lock, for the version.
    crate: str = ""
    # Whether it is a runtime; the others are floors.
    runtime: bool = True


ONE_WORKER = "switch spawn1 pingpong1 token1 chan1* queue1* wake1 echo1 echo1same echo50 echo500 bulk accept http1 udp"
OF_TASKS = "switch* spawn* pingpong* skynet wake* idle* deep timers*"
BY_HAND = "block hogs mutex mutex_io"

PEERS = {
    peer.name: peer
    for peer in (
        Peer("ours", "peer-ours", "this project as it is by default: tasks with thread-locals of their own"),
        Peer("ours+lean", "peer-ours", "this project, lean tasks, which share their worker's thread-locals",
             "lean=1", OF_TASKS + " echo1same echo50 echo50x2 http1 http2 hold"),
        Peer("ours+dedicated", "peer-ours", "this project, each task an OS thread of its own", "dedicated=1",
             "switch spawn1 pingpong1 echo50 echo50x2 idle20k block hogs mutex mutex_io file"),
        Peer("ours+epoll", "peer-ours", "this project on epoll, as where io_uring is forbidden", "driver=epoll",
             "pingpong timers20k echo* http* udp bulk accept open* hold"),
        Peer("ours+std", "peer-ours", "this project's tasks, with std's locks and channels, which block the thread",
             "api=std", "lock contended chat*"),
        Peer("ours+parking_lot", "peer-ours", "this project's tasks, with parking_lot's lock, which blocks the thread",
             "api=parking_lot", "lock contended"),
        Peer("ours+park", "peer-ours", "this project's tasks, with park and unpark in place of a Notification",
             "api=park", "token*"),
        Peer("tokio", "peer-tokio", "tokio, multi-threaded; with many receivers, async-channel on it", crate="tokio"),
        Peer("tokio+current", "peer-tokio", "tokio, current_thread", "flavor=current", ONE_WORKER, "tokio"),
        Peer("tokio+wake", "peer-tokio", "tokio, a task that wakes itself in place of yield_now", "raw=1",
             "switch switch2", "tokio"),
        Peer("may", "peer-may", "may: stackful, thread-locals not safe", crate="may"),
        Peer("smol", "peer-smol", "smol", crate="smol"),
        Peer("monoio", "peer-monoio", "monoio: a thread per core, io_uring", crate="monoio"),
        Peer("compio", "peer-compio", "compio: a thread per core, io_uring", crate="compio"),
        Peer("glommio", "peer-glommio", "glommio: a thread per core, io_uring", crate="glommio"),
        Peer("go", "peer-go", "Go: goroutines"),
        Peer("threads", "peer-threads", "std's threads, blocking calls"),
        Peer("threads+parking_lot", "peer-threads", "std's threads, parking_lot's lock", "api=parking_lot",
             "lock contended"),
        # The way each runtime asks for blocking calls: block_in_place, unblock, spawn_blocking, or its other API.
        Peer("tokio+hand", "peer-tokio", "tokio, blocking calls in block_in_place or spawn_blocking", "hand=1",
             BY_HAND + " file", "tokio"),
        Peer("smol+hand", "peer-smol", "smol, blocking calls in unblock", "hand=1", BY_HAND + " file", "smol"),
        Peer("monoio+hand", "peer-monoio", "monoio, blocking calls on a thread of their own", "hand=1", BY_HAND,
             "monoio"),
        Peer("compio+hand", "peer-compio", "compio, blocking calls in spawn_blocking", "hand=1", BY_HAND, "compio"),
        Peer("glommio+hand", "peer-glommio", "glommio, blocking calls in spawn_blocking", "hand=1", BY_HAND, "glommio"),
        Peer("go+raw", "peer-go", "Go, an HTTP server on net alone; locks of its own", "hand=1",
             "mutex mutex_io http1 http2"),
        # Without tasks: what an event loop written by hand does.
        Peer("ivykis", "peer-ivykis", "ivykis, callbacks in C", only="echo1 echo1same echo50 echo500", runtime=False),
        Peer("libevent", "peer-libevent", "libevent, callbacks in C", only="echo1 echo1same echo50 echo500",
             runtime=False),
        Peer("ours+events", "events", "this project's channel by itself, in proactor style: one thread, no tasks",
             only="echo1 echo1same echo50 echo500", runtime=False),
        Peer("ours+events+epoll", "events", "the same on epoll", "driver=epoll", "echo1 echo1same echo50 echo500",
             runtime=False),
        Peer("raw epoll", "load", "the least a server can do: one thread, epoll (datagrams: blocking calls)",
             only="echo1 echo1same echo50 echo500 echo10 echo2000 echo10000 bulk accept open* hold http1",
             runtime=False),
        Peer("crossbeam", "events", "a crossbeam channel of as many places: the floor", "floor=1", "events*",
             "crossbeam", runtime=False),
    )
}

# The names of programs' workloads differ for the server without a runtime.
RAW = {"echo": "raw-echo", "http": "raw-http", "udp": "raw-udp"}

# (peer, workload), each a pattern: why not. The first that fits counts. What else a peer cannot do its program says.
CANNOT = [
    ("monoio", "switch*", "its yield is not fair: the same task goes on"),
    ("tokio+current", "chan_*", "its runtime of one thread has one worker"),
    ("tokio+current", "queue_*", "its runtime of one thread has one worker"),
    ("may", "chan*", "it has no bounded channel"),
]

# (peer, workload) -> smaller sizes, for those that would take seconds.
SIZES = [
    ("smol", "file", "n=1600"),
    ("tokio", "file", "n=20000"),
    ("tokio+hand", "file", "n=40000"),
    ("monoio", "pingpong", "n=8000"),
    ("compio", "pingpong", "n=8000"),
    ("glommio", "pingpong", "n=8000"),
    ("threads", "pingpong", "n=8000"),
    ("threads", "pingpong1", "n=40000"),
    ("threads", "token1", "n=40000"),
    ("threads", "spawn*", "n=8000"),
    ("threads", "switch", "n=100000"),
    ("threads", "switch2", "n=100000"),
    ("ours+dedicated", "spawn1", "n=8000"),
    ("ours+dedicated", "switch", "n=100000"),
    ("ours+dedicated", "pingpong1", "n=40000"),
]


def find(table, peer, workload):
    for of_peer, of_workload, value in table:
        if peer == of_peer and fnmatch.fnmatchcase(workload, of_workload):
            return value
    return None


def cannot(peer, workload):
    """Why the peer does not do the workload, or None."""
    return find(CANNOT, peer, workload)


def sizes(peer, workload):
    """Arguments that override the workload's."""
    return find(SIZES, peer, workload) or ""


def takes_part(peer, workload):
    """Whether the peer belongs into the workload's table, if only with a reason why it has no figure."""
    if workload.peers:
        return peer.name in workload.peers
    if peer.only:
        return any(fnmatch.fnmatchcase(workload.name, pattern) for pattern in peer.only.split())
    return True
