"""Processes: those that are measured, which CPUs they get, and what the system tells of them and of the others."""

import contextlib
import json
import os
import resource
import select
import subprocess
import sys
import time

TICKS = os.sysconf("SC_CLK_TCK")
# Longer than any measurement takes: what has not ended by then hangs.
LIMIT = 90
QUICK_LIMIT = 15
KILOBYTE = 1024


class Failed(Exception):
    """A measurement that gave no figures, and why."""


def limit_to_two_cpus():
    """All that is started from now on shares two CPUs, whatever the machine has. Returns them."""
    two = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, two)
    return two


def allow_many_descriptors():
    """As many as the system allows: a server and its load have a descriptor for each connection."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def pinned(cpu, command):
    return command if cpu is None else ["taskset", "-c", str(cpu), *command]


def answer(line):
    """The numbers in a program's line of JSON. What the program says that it cannot do is a failure too."""
    try:
        found = json.loads(line)
    except ValueError:
        raise Failed(f"unexpected: {line.strip()[:100]}") from None
    if "na" in found:
        raise Failed(found["na"])
    # What is not a number was not seen once, such as the latency of no message.
    return {key: value for key, value in found.items() if value is not None}


def run(command, limit=LIMIT):
    """A program that ends by itself; its line."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                              timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(f"hung for {limit} s") from None
    lines = done.stdout.strip().splitlines()
    if not lines:
        words = done.stderr.strip().splitlines()
        raise Failed(f"died with {done.returncode}: {words[0][:150] if words else 'without a word'}")
    return answer(lines[0])


@contextlib.contextmanager
def running(command, stdin=subprocess.DEVNULL, limit=30):
    """A program that prints a line and goes on. Gives the process and its line's JSON; kills it in the end."""
    process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        ready, _, _ = select.select([process.stdout], [], [], limit)
        line = process.stdout.readline() if ready else b""
        if not line:
            code = process.poll()
            raise Failed(f"died with {code}" if ready else f"not ready after {limit} s")
        yield process, answer(line.decode(errors="replace"))
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()


def cpu_seconds(pid):
    """The CPU time of another process, exactly: its CPU clock is named by its number (clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)


def _fields(file):
    with open(file, encoding="ascii", errors="replace") as lines:
        return {name: rest.split()[0] for name, _, rest in (line.partition(":") for line in lines) if rest.strip()}


def memory(pid):
    """Resident bytes and bytes of page tables of a process."""
    fields = _fields(f"/proc/{pid}/status")
    return int(fields["VmRSS"]) * KILOBYTE, int(fields["VmPTE"]) * KILOBYTE


def kernel_memory():
    """What the whole system's kernel holds for its objects and threads' stacks, page tables not counted."""
    fields = _fields("/proc/meminfo")
    return (int(fields["Slab"]) + int(fields["KernelStack"])) * KILOBYTE


def touch_memory(size):
    """In a virtual machine whoever is the first to touch memory pays for it: a child does, which then ends."""
    available = int(_fields("/proc/meminfo")["MemAvailable"]) * KILOBYTE
    size = min(size, available * 8 // 10)
    populate = 0x8000
    flags = f"mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | {populate}"
    subprocess.run([sys.executable, "-c", f"import mmap; mmap.mmap(-1, {size}, {flags})"], check=False)


def idle_seconds():
    """Of all CPUs together. Exact, where the system's other counts are samples of its timer's ticks."""
    with open("/proc/stat", encoding="ascii") as stat:
        words = stat.readline().split()
    return (int(words[4]) + int(words[5])) / TICKS


def seconds_of_children():
    """CPU time of those of our children that have ended; interrupts that they were given are in it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Others:
    """What others take of the machine from now on, the hypervisor included."""

    def __init__(self):
        self.began, self.idle, self.ours = time.monotonic(), idle_seconds(), seconds_of_children()

    def share(self):
        """Between 0 and 1 of all CPUs."""
        cpus = os.cpu_count() or 1
        took = max(time.monotonic() - self.began, 1e-3)
        busy = took * cpus - (idle_seconds() - self.idle)
        return max(0.0, busy - (seconds_of_children() - self.ours)) / (took * cpus)
