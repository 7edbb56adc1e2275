"""The machine and the versions: what a reader of the figures needs to know."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from .measure import BENCHES
from .peers import PEERS
from .processes import Others

# The machine is quiet if others take less than this, looked at for so long.
QUIET = 0.05
LOOK_SECS = 3.0
# Debian's packages of what is not Rust.
PACKAGES = {"ivykis": "libivykis-dev", "libevent": "libevent-dev", "wrk": "wrk"}


def look():
    """The facts of the machine. Not its name, nor what a provider has added to the kernel's version."""
    cpuinfo = _text("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+)", _text("/proc/meminfo"), re.MULTILINE)
    return {
        "cpu": model.group(1).strip() if model else "unknown processor",
        "cpus": os.cpu_count(),
        "virtual": bool(re.search(r"^flags.*\bhypervisor\b", cpuinfo, re.MULTILINE)),
        "memory_gib": round(int(memory.group(1)) / (1 << 20), 1) if memory else None,
        "kernel": os.uname().release.split("-")[0],
        "glibc": _glibc(),
        "io_uring": _text("/proc/sys/kernel/io_uring_disabled").strip() in ("", "0"),
    }


def versions():
    """By name: the toolchains, the peers' crates from Cargo.lock, the packages of the system."""
    found = {"rust": _said(["rustc", "--version"], r"rustc (\S+)"), "go": _go()}
    locked = dict(re.findall(r'^name = "([^"]+)"\nversion = "([^"]+)"', _text(BENCHES / "Cargo.lock"), re.MULTILINE))
    for peer in PEERS.values():
        if peer.crate in locked:
            found[peer.crate] = locked[peer.crate]
    for name, package in PACKAGES.items():
        found[name] = _said(["dpkg-query", "-W", "-f", "${Version}", package], r"(\S+)")
    found["event-channel"] = _commit()
    return {name: version for name, version in found.items() if version}


def described(facts):
    """The machine in a line."""
    virtual = "virtual " if facts.get("virtual") else ""
    return (f"{facts['cpus']} {virtual}CPUs ({facts['cpu']}), {facts['memory_gib']} GiB, Linux {facts['kernel']}, "
            f"{facts['glibc']}, io_uring {'allowed' if facts['io_uring'] else 'forbidden'}")


def foreign_share():
    """What others take of the machine now."""
    others = Others()
    time.sleep(LOOK_SECS)
    return others.share()


def missing():
    """Peers whose program is not there, with the reason that the setup has left, if it has."""
    found = {}
    for peer in PEERS.values():
        if not (BENCHES / "target" / "release" / peer.program).exists():
            reason = BENCHES / "target" / "missing" / peer.program
            found[peer.name] = reason.read_text().strip() if reason.exists() else "its program is not built"
    return found


def _commit():
    """Version and commit of this project; a `+` says that the sources were changed."""
    root = BENCHES.parent
    version = re.search(r'^version = "([^"]+)"', _text(root / "Cargo.toml"), re.MULTILINE)
    commit = _said(["git", "-C", str(root), "rev-parse", "--short=10", "HEAD"], r"(\w+)")
    changed = _said(["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"], r"(.)")
    name = version.group(1) if version else "?"
    return f"{name} ({commit}{'+' if changed else ''})" if commit else name


def _go():
    for go in (os.environ.get("GO"), str(BENCHES / "target/gobin/go/bin/go"), shutil.which("go")):
        if go and Path(go).exists():
            return _said([go, "version"], r"go(\d\S*)")
    return None


def _glibc():
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or "unknown C library"
    except (ValueError, OSError):
        return "a C library other than glibc"


def _text(file):
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _said(command, pattern):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(pattern, done.stdout) if done.returncode == 0 else None
    return found.group(1) if found else None
