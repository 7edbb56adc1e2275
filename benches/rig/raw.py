"""The raw results of a run: a JSON file, written anew again and again; everything else can be made of it again."""

import json
import os
from pathlib import Path

FORMAT = 1
NAME = "raw.json"


class Raw:
    """`facts` is what is known of the run; `measurements` are (workload, peer, round, what measure() gave)."""

    def __init__(self, facts, measurements=()):
        self.facts = {"format": FORMAT, **facts}
        self.measurements = list(measurements)

    def add(self, workload, peer, number, found):
        self.measurements.append((workload, peer, number, found))

    def of(self, workload, peer):
        """What was measured of a peer in a workload: (round, found)."""
        return [(number, found) for w, p, number, found in self.measurements if (w, p) == (workload, peer)]

    def workloads(self):
        return {workload for workload, _, _, _ in self.measurements}

    def save(self, folder):
        """A measurement a line, so that differences can be read. Never half a file."""
        facts = json.dumps(self.facts, indent=1, sort_keys=True, ensure_ascii=False)
        lines = ",\n".join(
            json.dumps([w, p, number, _rounded(found)], separators=(",", ":"), ensure_ascii=False)
            for w, p, number, found in self.measurements
        )
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / (NAME + ".new")
        new.write_text(f'{{"facts":{facts},\n"measurements":[\n{lines}\n]}}\n', encoding="utf-8")
        os.replace(new, folder / NAME)

    @staticmethod
    def load(folder):
        found = json.loads((Path(folder) / NAME).read_text(encoding="utf-8"))
        if found["facts"].get("format") != FORMAT:
            raise ValueError(f"{folder}/{NAME} has another format")
        return Raw(found["facts"], [tuple(each) for each in found["measurements"]])


def _rounded(found):
    """To five digits: more of them would only be noise."""
    if "v" not in found:
        return found
    return {**found, "v": {key: float(f"{value:.5g}") for key, value in found["v"].items()}}
