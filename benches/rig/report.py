"""The report of a run, in Markdown, with its charts: what was measured, on what, and what it says of the marks."""

import sys
from pathlib import Path

from . import charts, machine, marks, tables
from .peers import PEERS
from .tables import number, table
from .workloads import FIGURES, GROUPS, WORKLOADS

NAME = "report.md"


def write(raw, folder):
    """report.md and the charts, made of the raw results alone."""
    folder = Path(folder)
    drawn = charts.draw_all(raw, folder)
    (folder / NAME).write_text(text(raw, drawn), encoding="utf-8")
    print(f"written: {folder / NAME}", file=sys.stderr)


def text(raw, drawn=()):
    parts = [head(raw), "## Marks\n\n" + marks_table(raw) + "\n" + marks.DEFINITION + "\n"]
    if "summary" in drawn:
        parts.append(picture("summary", "Speed beside tokio's"))
    for group, title in GROUPS.items():
        parts.append(section(raw, group, title, drawn))
    parts.append(scaling(raw, drawn))
    parts.append(figures_section(raw))
    parts.append(troubles(raw))
    return "\n".join(part for part in parts if part)


def head(raw):
    facts = raw.facts
    kind = "Ten rounds" if facts["rounds"] == 10 else f"{facts['rounds']} round{'s' if facts['rounds'] > 1 else ''}"
    quick = "**A quick run: all works, but its figures mean nothing.**\n\n" if facts.get("quick") else ""
    versions = ", ".join(f"{name} {version}" for name, version in facts.get("versions", {}).items())
    return (f"# Measured on {facts['date']}\n\n{quick}{machine.described(facts['machine'])}.\n\n"
            f"{versions}.\n\n"
            f"{kind} by `benches/run`, interleaved: in each round each workload is run by all peers in turn, "
            "another one first each time. Figures are medians over the rounds; a ratio is taken within a round, and "
            "its median is given with the least and the most. `n` is the number of rounds that count. What the "
            "workloads do and how far the figures can be trusted is in "
            "[benches/README.md](../../README.md).\n")


def marks_table(raw):
    rows = []
    for verdict in marks.judge_all(raw):
        mark, found = verdict.mark, verdict.found
        wanted = f"{mark.side} {number(mark.limit) if not mark.base else f'{mark.limit:.2f}'}"
        against = f" / {verdict.base}" if verdict.base else ""
        of_best = " (the best other)" if mark.base == marks.BEST else ""
        value = (tables.ratio(found) if mark.base else number(found.median)) if found else "-"
        rows.append([f"`{mark.workload}`: {mark.peer}{against}{of_best}, {mark.figure}", wanted, value,
                     tables.span(found), found.n if found else 0, verdict.verdict])
    return table(["mark", "wanted", "measured", "least..most", "n", ""], rows)


def picture(name, title):
    return f"![{title}]({name}.svg)\n"


def section(raw, group, title, drawn):
    there = raw.workloads()
    workloads = [each for each in WORKLOADS.values() if each.group == group and each.name in there]
    if not workloads:
        return ""
    parts = [f"## {title}\n"]
    parts += [picture(name, title) for name in charts.OF_GROUP.get(group, ()) if name in drawn]
    if group == "open":
        parts.append(rates(raw))
    parts.append(tables.overview(raw, workloads))
    for each in workloads:
        better = "less" if each.less else "more"
        parts.append(f"<details><summary><code>{each.name}</code>: {each.text} ({each.primary}, {better} is better)"
                     f"</summary>\n\n{tables.details(raw, each)}\n</details>\n")
    return "\n".join(parts)


def rates(raw):
    found = raw.facts.get("open_rates")
    if not found:
        return ""
    said = " and ".join(f"{rate:,} at {share} %" for share, rate in sorted(found.items()))
    return f"The weakest is {raw.facts['open_weakest']}; messages a second: {said}.\n"


def scaling(raw, drawn):
    found = tables.scaling(raw)
    if not found:
        return ""
    image = picture("scaling", "Scaling") if "scaling" in drawn else ""
    return ("## From one worker to two\n\nHow many times faster the second worker makes the same work, within the "
            f"round: 2 is perfect, below 1 it makes it slower.\n\n{image}\n{found}")


def figures_section(raw):
    """The peers and the figures that occur, in words."""
    there = [WORKLOADS[name] for name in WORKLOADS if name in raw.workloads()]
    keys = dict.fromkeys(key for each in there for key in each.figures)
    rows = [[f"`{key}`", f"{FIGURES[key].text}", FIGURES[key].unit, FIGURES[key].better] for key in keys]
    lines = "".join(f"- **{name}**: {PEERS[name].text}\n" for name in raw.facts.get("peers", PEERS))
    found = table(["figure", "what", "unit", "better"], rows, texts=4)
    return f"## Who and what\n\n{lines}\n{found}" if rows else ""


def troubles(raw):
    lines = [f"- left out: {name}: {why}\n" for name, why in sorted(raw.facts.get("missing", {}).items())]
    count = tables.disturbed(raw)
    if count:
        lines.append(f"- in {count} of {len(raw.measurements)} measurements others took more than 8 % of the machine, "
                     "after three tries; they count only where there is nothing better\n")
    return "## Troubles\n\n" + "".join(lines) if lines else ""
