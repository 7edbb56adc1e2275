#!/usr/bin/env python3
"""Foreign clients for examples/port7: CPython's socket library against the echo server.

    tests/port7_clients.py --server target/release/examples/port7 [--full]

Starts the server, talks to it in the ways listed under STEPS, compares every byte that comes
back, then sends it SIGINT and reads its totals. EVENT_CHANNEL_DRIVER reaches the server as it is
set. Without --full the numbers are small and it takes a few seconds. Ends by itself: each step
has a time limit, and what goes wrong names the step. Exit code 0 if all is well, 1 if not.
"""

import argparse
import contextlib
import os
import random
import re
import resource
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time

KIB, MIB = 1024, 1024 * 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Failed(Exception):
    """Something is not as it has to be."""


def check(right, what):
    if not right:
        raise Failed(what)


def noise(size):
    """Bytes without a pattern, the same in each run."""
    return random.Random(7).randbytes(size)


class Server:
    """The server under test: a child process that prints its address first."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.first_line = self.process.stdout.readline().rstrip()
        found = re.search(r" on (\S+):(\d+), driver (\w+)", self.first_line)
        if not found:
            self.process.kill()
            raise Failed(f"the server's first line is {self.first_line!r}: {self.process.stderr.read()}")
        self.address = (found[1], int(found[2]))
        self.driver = found[3]

    def resident(self):
        """Bytes of memory in use."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * KIB

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def end(self):
        """Sends SIGINT and returns the totals by name."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=20)
        check(self.process.returncode == 0, f"exit code {self.process.returncode} after SIGINT: {err}")
        totals = re.search(r"^total: (.*)$", out, re.MULTILINE)
        check(totals, f"no totals after SIGINT: {out[-500:]!r} {err}")
        check("panicked" not in err, f"a panic: {err}")
        return {name: int(number) for number, name in re.findall(r"(\d+) ([a-z]+)", totals[1])}


class Echo:
    """A connection that sends `message` and compares what comes back, as far as the kernel lets it."""

    def __init__(self, address, message, half_close=False, kernel_buffer=None):
        self.message, self.half_close = message, half_close
        self.sent = self.received = 0
        self.ended = False
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if kernel_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kernel_buffer)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, kernel_buffer)
        self.sock.connect(address)
        self.sock.setblocking(False)

    def send(self):
        """Sends what fits; true while there is more."""
        with contextlib.suppress(BlockingIOError):
            while self.sent < len(self.message):
                self.sent += self.sock.send(self.message[self.sent : self.sent + 256 * KIB])
            if self.half_close:
                self.sock.shutdown(socket.SHUT_WR)
                self.half_close = False
        return self.sent < len(self.message)

    def receive(self):
        """Receives what is there; true while there is more to come."""
        with contextlib.suppress(BlockingIOError):
            while True:
                data = self.sock.recv(256 * KIB)
                if not data:
                    self.ended = True
                    return False
                end = self.received + len(data)
                check(data == self.message[self.received : end], f"wrong bytes after {self.received}")
                self.received = end
        return self.received < len(self.message)


def exchange(echoes, to_the_end=False):
    """Lets all connections send and receive at the same time until each has everything back."""
    with selectors.DefaultSelector() as selector:
        for echo in echoes:
            selector.register(echo.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, echo)
        while selector.get_map():
            for key, ready in selector.select():
                echo = key.data
                if ready & selectors.EVENT_WRITE and not echo.send():
                    selector.modify(echo.sock, selectors.EVENT_READ, echo)
                if ready & selectors.EVENT_READ:
                    more = echo.receive()
                    if echo.ended or not (more or to_the_end):
                        selector.unregister(echo.sock)
    for echo in echoes:
        check(echo.received == len(echo.message), f"{echo.received} of {len(echo.message)} bytes came back")


class Clients:
    """The steps, and the sizes that fit this machine."""

    def __init__(self, server, full, descriptors):
        self.server, self.full = server, full
        self.room = descriptors - 100
        self.noise = noise(16 * MIB + 64 * KIB)
        self.connections = self.resets = self.datagrams = self.most_open = 0

    def connect(self, size, number=0, **options):
        """A connection that will send `size` bytes, different ones for each number."""
        start = (number * 61) % (64 * KIB)
        self.connections += 1
        return Echo(self.server.address, memoryview(self.noise)[start : start + size], **options)

    def exchange_and_close(self, echoes, **options):
        exchange(echoes, **options)
        for echo in echoes:
            echo.sock.close()

    def one(self):
        sizes = [64, 1 * KIB, 16 * KIB, 64 * KIB, 256 * KIB] + ([1 * MIB, 8 * MIB] if self.full else [])
        for size in sizes:
            self.exchange_and_close([self.connect(size)])
        return f"one connection at a time, {sizes[0]} to {sizes[-1]} bytes"

    def at_once(self, wanted):
        count = min(wanted, self.room)
        self.most_open = max(self.most_open, count)
        sizes = [64, 700, 4 * KIB, 30 * KIB]
        echoes = [self.connect(sizes[n % len(sizes)], n) for n in range(count)]
        self.exchange_and_close(echoes)
        less = f" ({wanted} wanted, descriptors for {count})" if count < wanted else ""
        return f"{count} connections open at the same time{less}"

    def some(self):
        return self.at_once(100)

    def hundreds(self):
        return self.at_once(500)

    def thousands(self):
        return self.at_once(5000)

    def large(self):
        count, size = (16, 8 * MIB) if self.full else (4, 1 * MIB)
        self.exchange_and_close([self.connect(size, n) for n in range(count)])
        return f"{count} messages of {size} bytes at the same time"

    def half_closed(self):
        count, size = (100, 300 * KIB) if self.full else (20, 100 * KIB)
        echoes = [self.connect(size, n, half_close=True) for n in range(count)]
        exchange(echoes, to_the_end=True)
        for echo in echoes:
            check(echo.ended, "no end after everything has come back")
            echo.sock.close()
        return f"{count} clients finish sending first, get all back and then the end"

    def reset(self):
        count = 200 if self.full else 40
        for number in range(count):
            echo = self.connect(64 * KIB, number)
            # Some before a byte, some in the middle of it, some with an answer that nobody read.
            if number % 3:
                echo.send()
            if number % 3 == 2:
                self.wait_for(echo.sock)
            echo.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            echo.sock.close()
        self.resets += count
        self.exchange_and_close([self.connect(4 * KIB)])
        return f"{count} connections reset by their client"

    @staticmethod
    def wait_for(sock):
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_READ)
            selector.select()

    def never_reads(self):
        # More than the kernel holds on the way, and small buffers on our side.
        count, size = (20 if self.full else 4), 16 * MIB
        before = self.server.resident()
        lazy = [self.connect(size, n, kernel_buffer=64 * KIB) for n in range(count)]
        self.push(lazy)
        # Meanwhile the others are served.
        self.exchange_and_close([self.connect(64 * KIB, n) for n in range(50)])
        grown = self.server.resident() - before
        check(grown < 16 * MIB, f"the server has grown by {grown} bytes for {count} clients that do not read")
        held = sum(echo.sent for echo in lazy)
        check(held < count * size, f"all {held} bytes were taken from clients that do not read")
        # Nothing is lost by the delay.
        self.exchange_and_close(lazy)
        return f"{count} clients that send and do not read: others go on, memory grew by {grown // KIB} KiB"

    @staticmethod
    def push(echoes):
        """Sends until nothing has been taken for half a second."""
        last, since = -1, time.monotonic()
        while time.monotonic() - since < 0.5:
            for echo in echoes:
                echo.send()
            total = sum(echo.sent for echo in echoes)
            if total != last:
                last, since = total, time.monotonic()
            time.sleep(0.01)

    def udp(self):
        rounds = 200 if self.full else 20
        sizes = [0, 1, 64, 512, 1400, 9000, 65507]
        socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(16)]
        for sock in socks:
            sock.connect(self.server.address)
            sock.settimeout(10)
        for number in range(rounds):
            size = sizes[number % len(sizes)]
            starts = [number * 16 + n for n in range(len(socks))]
            # One in flight per socket (one in all of the largest): more may overflow the kernel's queue.
            window = len(socks) if size < 9000 else 1
            for first in range(0, len(socks), window):
                group = list(zip(socks, starts))[first : first + window]
                for sock, start in group:
                    sock.send(self.noise[start : start + size])
                for sock, start in group:
                    data = sock.recv(70000)
                    check(data == self.noise[start : start + size], f"a datagram of {size} bytes came back wrong")
                    self.datagrams += 1
        for sock in socks:
            sock.close()
        return f"{self.datagrams} datagrams of {sizes[0]} to {sizes[-1]} bytes"

    def all_is_given_back(self):
        count = 20
        self.exchange_and_close([self.connect(64, n) for n in range(count)])
        limit = self.idle_descriptors + 2
        while self.server.descriptors() > limit:
            time.sleep(0.02)
        resident, most = self.server.resident(), 64 * MIB + self.most_open * 64 * KIB
        check(resident < most, f"the server holds {resident} bytes after {self.most_open} connections at once")
        return f"{self.server.descriptors()} descriptors, {resident // MIB} MiB in the end"

    def totals(self):
        open_one = self.connect(64)
        exchange([open_one])
        totals = self.server.end()
        open_one.sock.close()
        check(totals["connections"] == self.connections, f"{self.connections} connections made, totals {totals}")
        check(totals["datagrams"] == self.datagrams, f"{self.datagrams} datagrams sent, totals {totals}")
        check(totals["failed"] <= self.resets, f"{self.resets} connections reset, totals {totals}")
        return f"SIGINT: exit code 0, totals {totals}"


# Each with its time limit in seconds.
STEPS = [
    (Clients.one, 60),
    (Clients.udp, 60),
    (Clients.half_closed, 60),
    (Clients.reset, 60),
    (Clients.never_reads, 90),
    (Clients.large, 120),
]
QUICK = [(Clients.some, 30)]
FULL = [(Clients.hundreds, 60), (Clients.thousands, 180)]
LAST = [(Clients.all_is_given_back, 20), (Clients.totals, 30)]


def out_of_time(_signal, _frame):
    raise Failed("did not finish within its time limit")


def main():
    parser = argparse.ArgumentParser(description="Foreign clients for examples/port7.")
    parser.add_argument("--server", default="target/release/examples/port7", help="the built example")
    parser.add_argument("--full", action="store_true", help="5,000 connections, 8 MiB messages")
    options = parser.parse_args()

    # The server inherits the limit.
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        descriptors = 65536
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    signal.signal(signal.SIGALRM, out_of_time)

    name, server = "start", None
    try:
        signal.alarm(20)
        server = Server(options.server)
        print(server.first_line, flush=True)
        clients = Clients(server, options.full, descriptors)
        clients.idle_descriptors = server.descriptors()
        steps = STEPS + (FULL if options.full else QUICK) + LAST
        for step, limit in steps:
            name = step.__name__
            start = time.monotonic()
            signal.alarm(limit)
            said = step(clients)
            signal.alarm(0)
            print(f"{name:<18} ok {time.monotonic() - start:6.2f} s  {said}", flush=True)
    except (Failed, OSError, subprocess.TimeoutExpired) as error:
        driver = server.driver if server else "?"
        print(f"{name}: FAILED, driver {driver}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return 1
    finally:
        signal.alarm(0)
        if server and server.process.poll() is None:
            server.process.kill()
    print(f"{len(steps)} passed, driver {server.driver}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
