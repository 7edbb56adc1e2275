"""What the newest whole run says, in short: results/summary.md and the block in the project's README."""

import shutil
from pathlib import Path

from . import machine, marks, report, stats
from .measure import BENCHES
from .tables import table, with_unit
from .workloads import FIGURES

README = BENCHES.parent / "README.md"
RESULTS = BENCHES / "results"
BEGIN, END = "<!-- bench:summary -->", "<!-- /bench:summary -->"
COLUMNS = ("ours", "ours+lean", "tokio", "go", "may")
# Workload and figure, and how a reader calls it.
ROWS = (
    ("switch", "ns", "a yield to another task"),
    ("spawn1", "ns", "spawn and join"),
    ("pingpong1", "ns", "there and back over channels"),
    ("skynet", "ms", "a million tasks in a tree"),
    ("echo50", "msgs_s", "echo, 50 connections, 1 worker"),
    ("echo500x2", "msgs_s", "echo, 500 connections, 2 workers"),
    ("http2", "reqs_s", "HTTP, 64 connections, 2 workers"),
    ("idle1m", "bytes", "memory of a sleeping task, of a million"),
)


def summary_table(raw):
    rows = []
    for workload, figure, text in ROWS:
        found = [stats.of(raw, workload, peer, figure) for peer in COLUMNS]
        unit = FIGURES[figure].unit
        rows.append([text, *(with_unit(each.median, unit) if each else "-" for each in found)])
    return table(["", *COLUMNS], rows)


def facts_line(raw):
    return f"{raw.facts['date']}, {machine.described(raw.facts['machine'])}; medians of {raw.facts['rounds']} rounds."


def summary(raw, folder):
    verdicts = [verdict.verdict for verdict in marks.judge_all(raw)]
    counts = ", ".join(f"{verdicts.count(each)} {each}" for each in (marks.MET, marks.WITHIN, marks.MISSED,
                                                                      marks.UNKNOWN) if each in verdicts)
    return (f"# How fast\n\n{facts_line(raw)}\n\n![Speed beside tokio's](summary.svg)\n\n{summary_table(raw)}\n"
            f"Of the marks: {counts}. [The whole report]({folder.name}/{report.NAME}).\n\n"
            f"## Marks\n\n{report.marks_table(raw)}\n{marks.DEFINITION}\n")


def in_readme(text, block):
    """The README with its block replaced."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README has no {BEGIN} .. {END}")
    return f"{before}{BEGIN}\n{block}{END}{after}"


def block(raw, folder):
    return (f"{facts_line(raw)}\n\n![Speed beside tokio's](benches/results/summary.svg)\n\n{summary_table(raw)}\n"
            f"[The whole report](benches/results/{folder.name}/{report.NAME}) has the spreads, the latencies and all "
            "other peers.\n")


def publish(raw, folder, results=RESULTS, readme=README):
    """Makes a run the one that is shown."""
    folder = Path(folder).resolve()
    if (folder / "summary.svg").exists():
        shutil.copyfile(folder / "summary.svg", results / "summary.svg")
    (results / "summary.md").write_text(summary(raw, folder), encoding="utf-8")
    readme.write_text(in_readme(readme.read_text(encoding="utf-8"), block(raw, folder)), encoding="utf-8")
