"""Results made by hand: few numbers, of which one can tell in the head what must come out."""

from rig.raw import Raw

MACHINE = {"cpu": "Abacus", "cpus": 2, "virtual": False, "memory_gib": 1.0, "kernel": "1.2.3", "glibc": "glibc 9",
           "io_uring": True}


def raw(rounds=4, **facts):
    return Raw({"date": "2001-02-03", "rounds": rounds, "machine": MACHINE, "versions": {"rust": "1"}, **facts})


def fill(results, workload, peer, figure, values, foreign=0.0):
    """A value a round."""
    for number, value in enumerate(values):
        results.add(workload, peer, number, {"v": {figure: value}, "foreign": foreign, "took": 0.5})
    return results
