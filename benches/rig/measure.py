"""One measurement: a peer's program by itself, or as a server with its load. Each kind of workload is a function."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from . import peers, processes
from .processes import Failed, Others

BENCHES = Path(__file__).resolve().parent.parent
BIN = BENCHES / "target" / "release"
DATA = BENCHES / "target" / "data.bin"
DATA_MIB = 256
# A measurement during which others took more of the machine is made again, so often.
BUSY = 0.08
TRIES = 3
# How long a server is measured; the load warms it up before.
SERVER_SECS = 0.8
OPEN_SECS = 1.4
# What a workload's arguments say to the load or to the driver, not to the server.
OF_LOAD = ("conns", "secs", "size", "same", "share", "room", "rate")
TO_MICROSECONDS = {"us": 1.0, "ms": 1e3, "s": 1e6}


class Rig:
    """What holds for all measurements of a run."""

    def __init__(self, quick=False):
        self.quick = quick
        self.limit = processes.QUICK_LIMIT if quick else processes.LIMIT
        two = processes.limit_to_two_cpus()
        self.server_cpu, self.load_cpu = two[0], two[-1]
        self.descriptors = processes.allow_many_descriptors()
        # Messages a second for the open loop, by the share of the weakest's capacity.
        self.rates = {}

    def prepare(self, workload):
        """Before the peers take turns in it."""
        if workload.touch_gib and not self.quick:
            processes.touch_memory(workload.touch_gib << 30)

    def measure(self, peer, workload):
        """The figures (`v`) or the reason why there are none (`na`), with what others took meanwhile."""
        began = time.monotonic()
        for _ in range(1 if self.quick else TRIES):
            others = Others()
            try:
                found = {"v": self.once(peer, workload)}
            except Failed as why:
                found = {"na": str(why)}
            found["foreign"] = round(others.share(), 3)
            if "na" in found or found["foreign"] < BUSY:
                break
        found["took"] = round(time.monotonic() - began, 2)
        return found

    def once(self, peer, workload):
        options = self.options(peer, workload)
        if int(options.get("conns", 0)) + 100 > self.descriptors:
            raise Failed(f"this machine allows {self.descriptors:,} descriptors")
        if workload.kind in ("one", "events"):
            found = self.program(peer, workload, options)
        elif workload.kind == "hold":
            found = self.hold(peer, options)
        else:
            found = self.served(peer, workload, options)
        if workload.primary not in found:
            raise Failed(f"no {workload.primary}: nothing came back")
        return found

    def options(self, peer, workload):
        """key=value of the workload, its sizes for this peer, the peer's own: later ones override earlier ones."""
        words = [workload.args, peers.sizes(peer.name, workload.name), peer.args, workload.quick if self.quick else ""]
        pairs = " ".join(words).format(data=DATA).split()
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)

    def program(self, peer, workload, options):
        name = workload.args.split()[0] if workload.kind == "one" else "events"
        program = "events" if workload.kind == "events" else peer.program
        if "path" in options:
            make_data()
        return processes.run([str(BIN / program), name, *_words(options)], self.limit)

    def pins(self, options):
        """The server's CPU and the load's; with more workers than one both have both."""
        if options.get("workers") != "1":
            return None, None
        return self.server_cpu, self.server_cpu if options.get("same") else self.load_cpu

    def server(self, peer, name, options, cpu):
        name = peers.RAW.get(name, name) if peer.program == "load" else name
        options = {key: value for key, value in options.items() if key not in OF_LOAD}
        return processes.running(processes.pinned(cpu, [str(BIN / peer.program), name, *_words(options)]))

    def served(self, peer, workload, options):
        cpu, load_cpu = self.pins(options)
        serves = workload.kind if workload.kind in ("http", "udp", "chat") else "echo"
        with self.server(peer, serves, options, cpu) as (process, said):
            if workload.kind == "http":
                return self.wrk(process.pid, said["port"], options, load_cpu)
            load = {key: options[key] for key in ("conns", "size", "room", "rate") if key in options}
            load |= {"port": said["port"], "pid": process.pid, "secs": options.get("secs", SERVER_SECS)}
            if workload.kind == "open":
                load |= {"secs": options.get("secs", OPEN_SECS), "rate": self.rate(int(options["share"]))}
            found = processes.run(processes.pinned(load_cpu, [str(BIN / "load"), workload.kind, *_words(load)]))
            if process.poll() is not None:
                raise Failed(f"the server died with {process.returncode}")
            return found

    def rate(self, share):
        if share not in self.rates:
            raise Failed("no capacity was measured in this run: it takes echo50")
        return self.rates[share]

    def wrk(self, pid, port, options, cpu):
        if not shutil.which("wrk"):
            raise Failed("wrk is not installed")
        time.sleep(0.05)
        command = ["wrk", "-t1", f"-c{options['conns']}", "-d1s", "--latency", f"http://127.0.0.1:{port}/"]
        before = processes.cpu_seconds(pid)
        done = subprocess.run(processes.pinned(cpu, command), capture_output=True, text=True, timeout=30, check=False)
        used = processes.cpu_seconds(pid) - before
        return of_wrk(done.stdout, used)

    def hold(self, peer, options):
        """What the server and the kernel hold for each connection that has been used and stays open."""
        cpu, load_cpu = self.pins(options)
        conns = int(options["conns"])
        with self.server(peer, "echo", options, cpu) as (process, said):
            time.sleep(0.1)
            resident, tables = processes.memory(process.pid)
            kernel = processes.kernel_memory()
            command = [str(BIN / "load"), "hold", f"port={said['port']}", f"conns={conns}"]
            with processes.running(processes.pinned(load_cpu, command), stdin=subprocess.PIPE):
                time.sleep(0.2)
                resident_then, tables_then = processes.memory(process.pid)
                kernel_then = processes.kernel_memory()
        return {
            "bytes": (resident_then - resident) / conns,
            "pte_bytes": (tables_then - tables) / conns,
            "kernel_bytes": (kernel_then - kernel) / conns,
        }


def of_wrk(text, used):
    """The figures in what wrk prints; `used` is the server's CPU time meanwhile."""
    try:
        value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", text).groups()
        requests = int(re.search(r"(\d+) requests in", text).group(1))
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
    except (AttributeError, ValueError):
        raise Failed("wrk did not say how it went") from None
    wrong = re.search(r"(Socket errors|Non-2xx).*", text)
    if wrong or not requests:
        raise Failed(wrong.group() if wrong else "no request was answered")
    return {"reqs_s": rate, "p99_us": float(value) * TO_MICROSECONDS[unit], "cpu_us": used * 1e6 / requests}


def make_data():
    """The file that is read from; its pages are in the system's cache afterwards."""
    if DATA.exists() and DATA.stat().st_size == DATA_MIB << 20:
        return
    with open(DATA, "wb") as file:
        for _ in range(DATA_MIB):
            file.write(os.urandom(1 << 20))


def _words(options):
    return [f"{key}={value}" for key, value in options.items()]
