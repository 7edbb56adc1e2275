"""The command line; `benches/run` builds everything and then comes here."""

import argparse
import datetime
import signal
import sys
from pathlib import Path

from . import machine, measure, publish, report, rounds
from .peers import PEERS
from .raw import NAME, Raw
from .workloads import WORKLOADS

RESULTS = measure.BENCHES / "results"
SCRATCH = measure.BENCHES / "target" / "results"
ROUNDS = 10


def options():
    parser = argparse.ArgumentParser(
        prog="benches/run", description="Measures this project beside its peers and writes a report.",
        epilog="A run of everything goes to benches/results/DATE, any other to benches/target/results.")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"rounds ({ROUNDS})")
    parser.add_argument("--workloads", metavar="A,B", help="only these")
    parser.add_argument("--peers", metavar="X,Y", help="only these")
    parser.add_argument("--quick", action="store_true", help="one short round: shows that all works, measures nothing")
    parser.add_argument("--list", action="store_true", help="names, and how long each takes")
    parser.add_argument("--report", metavar="DIR", type=Path, help="only write the report of these results again")
    parser.add_argument("--resume", metavar="DIR", type=Path, help="go on with an interrupted run")
    parser.add_argument("--out", metavar="DIR", type=Path, help="where the results go")
    parser.add_argument("--anyway", action="store_true", help="measure though the machine is not quiet")
    chosen = parser.parse_args()
    chosen.workloads = _names(parser, "workload", chosen.workloads, WORKLOADS)
    chosen.peers = _names(parser, "peer", chosen.peers, PEERS)
    chosen.whole = not chosen.quick and chosen.workloads == list(WORKLOADS) and chosen.peers == list(PEERS)
    chosen.rounds = 1 if chosen.quick else chosen.rounds or ROUNDS
    return chosen


def _names(parser, what, given, known):
    """The given names in the table's order; all if none are given."""
    names = given.split(",") if given else list(known)
    for name in names:
        if name not in known:
            parser.error(f"there is no {what} {name}; --list names them")
    names = [name for name in known if name in names]
    # The open loop takes its rate from it.
    if what == "workload" and "echo50" not in names and any(WORKLOADS[name].kind == "open" for name in names):
        names = [name for name in known if name in [*names, "echo50"]]
    return names


def newest():
    """The newest whole run, or None."""
    found = sorted(folder for folder in RESULTS.glob("*") if (folder / NAME).exists()) if RESULTS.exists() else []
    return found[-1] if found else None


def folder_for(chosen):
    today = datetime.date.today().isoformat()
    if chosen.out:
        return chosen.out
    parent = RESULTS if chosen.whole else SCRATCH
    folder, number = parent / today, 1
    while folder.exists():
        number += 1
        folder = parent / f"{today}-{number}"
    return folder


def show_list(chosen):
    before = newest()
    took = rounds.took_before(Raw.load(before)) if before else None
    print("peers:")
    for name in chosen.peers:
        print(f"  {name:<15} {PEERS[name].text}")
    print("workloads (seconds in all, rounds, what):")
    sums = rounds.estimate(chosen.workloads, chosen.peers, chosen.rounds, chosen.quick, took)
    for name, seconds in sums.items():
        number = len(rounds.rounds_of(WORKLOADS[name], chosen.rounds))
        print(f"  {name:<14} {seconds:6.0f} {number:4}  {WORKLOADS[name].text}")
    source = f"as in {before.name}" if before else "by the table"
    print(f"about {sum(sums.values()) / 60:.0f} minutes ({source})")


def wait_until_quiet(chosen):
    """Refuses to measure beside others: the figures would be theirs too."""
    share = machine.foreign_share()
    if share < machine.QUIET or chosen.quick or chosen.anyway:
        return
    sys.exit(f"others take {share:.0%} of this machine: end them first, or measure --anyway")


def main():
    chosen = options()
    if chosen.list:
        show_list(chosen)
        return
    if chosen.report:
        report.write(Raw.load(chosen.report), chosen.report)
        return
    # So that a running server is ended too, also where a shell has told us to ignore Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if chosen.resume:
        folder, raw = chosen.resume, Raw.load(chosen.resume)
        chosen.rounds, chosen.quick, chosen.whole = (raw.facts[key] for key in ("rounds", "quick", "whole"))
        chosen.workloads, chosen.peers = raw.facts["workloads"], raw.facts["peers"]
    else:
        folder, raw = folder_for(chosen), Raw({
            "date": datetime.date.today().isoformat(), "rounds": chosen.rounds, "quick": chosen.quick,
            "whole": chosen.whole, "workloads": chosen.workloads, "peers": chosen.peers, "machine": machine.look(),
            "versions": machine.versions(),
        })
    wait_until_quiet(chosen)
    raw.facts["missing"] = machine.missing()
    for name, why in raw.facts["missing"].items():
        print(f"left out: {name}: {why}", file=sys.stderr)
    there = [name for name in chosen.peers if name not in raw.facts["missing"]]
    expected = sum(rounds.estimate(chosen.workloads, there, chosen.rounds, chosen.quick).values())
    print(f"{chosen.rounds} rounds into {folder}, about {expected / 60:.0f} minutes", file=sys.stderr)
    rig = measure.Rig(chosen.quick)
    rig.rates = {int(share): rate for share, rate in raw.facts.get("open_rates", {}).items()}
    try:
        rounds.Run(rig, raw, folder).all(chosen.workloads, there, chosen.rounds)
    except KeyboardInterrupt:
        sys.exit(f"interrupted; --resume {folder} goes on")
    report.write(raw, folder)
    if chosen.whole:
        publish.publish(raw, folder)


main()
