"""What the report and the README's block say."""

import tempfile
import unittest
from pathlib import Path

from rig import publish, report, tables
from rig.raw import Raw
from rig.workloads import WORKLOADS

from .made_up import fill, raw


def some():
    results = fill(raw(peers=["ours", "tokio", "may", "monoio"]), "switch", "tokio", "ns", [200, 400])
    return fill(results, "switch", "ours", "ns", [100, 200])


class Numbers(unittest.TestCase):
    def test_three_digits(self):
        self.assertEqual(tables.number(12.345), "12.3")
        self.assertEqual(tables.number(8816), "8,820")
        self.assertEqual(tables.number(203_930, "/s"), "204k")
        self.assertEqual(tables.number(1_604_200), "1,600,000")
        self.assertEqual(tables.number(None), "-")
        self.assertEqual(tables.number(float("nan")), "-")


class Tables(unittest.TestCase):
    def test_the_best_is_first_with_its_ratio_and_its_spread(self):
        text = tables.details(some(), WORKLOADS["switch"])
        rows = [line for line in text.splitlines() if line.startswith(("| ours |", "| tokio |"))]
        self.assertEqual(rows, ["| ours | 0.50 | 0.5..0.5 | 150 | 2 |", "| tokio | 1.00 | 1..1 | 300 | 2 |"])

    def test_more_is_better_turns_the_order_round(self):
        results = fill(raw(), "http1", "go", "reqs_s", [10])
        fill(results, "http1", "tokio", "reqs_s", [20])
        self.assertEqual(tables.measured_peers(results, WORKLOADS["http1"]), ["tokio", "go"])

    def test_who_has_no_figure_is_named_with_the_reason(self):
        results = some()
        results.add("switch", "may", 0, {"na": "died with -11"})
        text = tables.details(results, WORKLOADS["switch"])
        self.assertIn("n/a: may: died with -11", text)
        self.assertIn("n/a: monoio: its yield is not fair", text)

    def test_a_failure_in_between_is_told(self):
        results = some()
        results.add("switch", "ours", 2, {"na": "hung for 60 s"})
        self.assertIn("ours failed in 1 of its rounds: hung for 60 s", tables.details(results, WORKLOADS["switch"]))

    def test_scaling(self):
        results = fill(some(), "switch2", "ours", "ns", [50, 100])
        self.assertIn("| `switch` to `switch2` | 2.00 |", tables.scaling(results))


class Report(unittest.TestCase):
    def test_it_names_the_machine_and_each_mark(self):
        text = report.text(some())
        for words in ("2 CPUs (Abacus), 1.0 GiB, Linux 1.2.3, glibc 9", "rust 1", "at most 1.70", "not measured"):
            self.assertIn(words, text)

    def test_a_quick_run_says_that_it_means_nothing(self):
        self.assertNotIn("mean nothing", report.text(some()))
        self.assertIn("mean nothing", report.text(fill(raw(quick=True), "switch", "ours", "ns", [1])))

    def test_raw_results_come_back_as_they_were_saved(self):
        with tempfile.TemporaryDirectory() as folder:
            some().save(folder)
            again = Raw.load(folder)
        self.assertEqual(report.text(again), report.text(some()))

    def test_raw_results_keep_five_digits(self):
        with tempfile.TemporaryDirectory() as folder:
            fill(raw(), "switch", "ours", "ns", [123.456789]).save(folder)
            self.assertEqual(Raw.load(folder).of("switch", "ours")[0][1]["v"], {"ns": 123.46})

    def test_the_readme_gets_a_new_block_and_keeps_the_rest(self):
        before = f"# Name\n{publish.BEGIN}\nold\n{publish.END}\nend\n"
        after = publish.in_readme(before, "new\n")
        self.assertEqual(after, f"# Name\n{publish.BEGIN}\nnew\n{publish.END}\nend\n")
        with self.assertRaises(ValueError):
            publish.in_readme("# Name\n", "new\n")

    def test_publishing_writes_summary_and_readme(self):
        with tempfile.TemporaryDirectory() as place:
            results, readme = Path(place), Path(place) / "README.md"
            readme.write_text(f"{publish.BEGIN}\n{publish.END}\n")
            publish.publish(some(), results / "2001-02-03", results, readme)
            self.assertIn("| a yield to another task | 150 ns |", readme.read_text())
            self.assertIn("(2001-02-03/report.md)", (results / "summary.md").read_text())


if __name__ == "__main__":
    unittest.main()
