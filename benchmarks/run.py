"""
Measure manyhands beside its peers: prints the table, draws the plots.

Every measurement is made in a fresh interpreter, and the contestants take turns round by round, so
that what else the machine does meets all of them. A ratio is taken inside a round, between two
measurements that followed each other; the table shows the median of the rounds' ratios with the
least and the greatest.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from goals import ROWS, Row
from workloads import DEADLINE_S, WORKLOADS

HERE = Path(__file__).resolve().parent
ROUNDS, QUICK_ROUNDS = 15, 3
#: What one measurement may take, in seconds; only a hang reaches it.
LIMIT_S = 4 * DEADLINE_S


class Measurements:
    """What one interpreter measured: a list of numbers, one per round, for each workload and contestant."""

    def __init__(self, python: str, directory: str) -> None:
        self.python = python
        self._directory = directory
        self._variables = variables(directory)
        self.about: dict[str, Any] = json.loads(self._run(HERE / "contestants.py"))
        #: None stands for a measurement that failed.
        self.values: dict[tuple[str, str], list[float | None]] = {}
        self.problems: list[str] = []

    def measure(self, workload: str, contestant: str) -> None:
        """Measure once more."""
        value: float | None = None
        try:
            value = self._once(workload, contestant)
        except (subprocess.SubprocessError, ValueError) as error:
            last_line = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
            self.problems.append(f"{workload} {contestant}: {last_line}")
        self.values.setdefault((workload, contestant), []).append(value)

    def _once(self, workload: str, contestant: str) -> float:
        if WORKLOADS[workload].measure is not None:
            return float(json.loads(self._run(HERE / "contestants.py", workload, contestant))["value"])
        program = WORKLOADS[workload].programs[contestant]
        if (workload, contestant) not in self.values:
            self._run("-c", program)  # compiles what it imports
        began = time.perf_counter()
        printed = self._run("-c", program)
        return float(printed) if printed else (time.perf_counter() - began) * 1e3

    def _run(self, *arguments: str | Path) -> str:
        done = subprocess.run(
            [self.python, *arguments],
            cwd=self._directory,
            env=self._variables,
            check=True,
            timeout=LIMIT_S,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def ratios(self, row: Row) -> list[float]:
        """How many times better ours was, round by round."""
        pairs = zip(self.values[row.workload, row.ours], self.values[row.workload, row.peer], strict=False)
        more = WORKLOADS[row.workload].more_is_better
        return [ours / peer if more else peer / ours for ours, peer in pairs if ours and peer]

    def result(self, row: Row) -> dict[str, Any]:
        """A line of the table; its numbers are None when no round could measure both."""
        ratios = self.ratios(row)
        ours, peer = (
            [value for value in self.values[row.workload, name] if value is not None] for name in (row.ours, row.peer)
        )
        return {
            "title": row.title,
            "workload": row.workload,
            "unit": WORKLOADS[row.workload].unit,
            "ours": {"name": row.ours, "value": median(ours) if ours else None},
            "peer": {"name": row.peer, "value": median(peer) if peer else None},
            "ratio": median(ratios) if ratios else None,
            "least": min(ratios, default=None),
            "greatest": max(ratios, default=None),
            "must": row.must,
            "aim": row.aim,
            "met": met(row, median(ratios)) if ratios else None,
        }


def variables(directory: str) -> dict[str, str]:
    """
    The environment of a measurement: ours without what could change it, except PYTHONPATH.

    The working directory is an empty one, so that no config file is found. Bytecode is kept beside
    it, as installed packages have it whatever this process was told.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MANYHANDS_", "PYTHON"))}
    if "PYTHONPATH" in os.environ:
        ours["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, os.environ["PYTHONPATH"].split(os.pathsep)))
    return {**ours, "PYTHONPYCACHEPREFIX": os.path.join(directory, "bytecode")}


def met(row: Row, ratio: float) -> str | None:
    """``aim``, ``must`` or ``no``; None for a row without goals."""
    if row.must is None or row.aim is None:
        return None
    return "aim" if ratio >= row.aim else "must" if ratio >= row.must else "no"


def in_turns(rows: Sequence[Row], turn: int) -> Iterator[tuple[str, str]]:
    """Each workload with each of its contestants; who is first changes from round to round."""
    for workload in dict.fromkeys(row.workload for row in rows):
        names = dict.fromkeys(name for row in rows if row.workload == workload for name in (row.ours, row.peer))
        for name in reversed(names) if turn % 2 else names:
            yield workload, name


# What is printed.


def short(value: float | None) -> str:
    """Three digits, and k or M for the large: ``812``, ``15.8 M``."""
    if value is None:
        return "failed"
    for limit, suffix in ((1e6, " M"), (1e4, " k")):
        if value >= limit:
            return f"{value / (1e6 if suffix == ' M' else 1e3):.3g}{suffix}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def goal(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def table(results: Iterable[dict[str, Any]]) -> str:
    """The results as aligned columns."""
    lines = [("", "ours", "peer", "", "ratio", "min..max", "must", "aim", "met?")]
    for result in results:
        ratio = result["ratio"]
        lines.append(
            (
                result["title"],
                f"{short(result['ours']['value'])} {result['unit']}",
                f"{short(result['peer']['value'])} {result['unit']}",
                result["peer"]["name"],
                "-" if ratio is None else f"{ratio:.2f}",
                "-" if ratio is None else f"{result['least']:.2f}..{result['greatest']:.2f}",
                goal(result["must"]),
                goal(result["aim"]),
                result["met"] or "-",
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    left = (0, 3)
    return "\n".join(
        "  ".join(
            text.ljust(width) if column in left else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def machine() -> dict[str, Any]:
    """Where this runs; ratios of different machines are not to be compared."""
    processor = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    except OSError:  # not Linux
        pass
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"system": platform.platform(), "processor": processor, "cpus": cpus, "load": os.getloadavg()[0]}


def heading(about: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    text = f"{about['python']}{'' if about['gil'] else ' (free-threaded)'} at {about['executable']}: {versions}"
    text += f"; manyhands from {about['source']}"
    return f"{text}; not installed: {', '.join(about['missing'])}" if about["missing"] else text


def progress(text: str) -> None:
    """Show *text* in the last line of a terminal."""
    if sys.stderr.isatty():
        print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)


# The command.


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure manyhands beside its peers.")
    parser.add_argument(
        "--python", action="append", metavar="PATH", help="an interpreter that has manyhands; may be repeated"
    )
    parser.add_argument("--rounds", type=int, default=None, help=f"rounds, {ROUNDS} by default")
    parser.add_argument("--quick", action="store_true", help=f"only {QUICK_ROUNDS} rounds")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        choices=WORKLOADS,
        help=f"a workload, may be repeated: {', '.join(WORKLOADS)}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number that was measured to FILE")
    parser.add_argument("--plots", type=Path, metavar="DIR", default=HERE / "results", help="where the plots go")
    options = parser.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    for python in options.python or ():
        if shutil.which(python) is None:
            parser.error(f"no interpreter at {python}")
    # Absolute, but not resolved: a virtual environment is known by the path of its link.
    options.python = [os.path.abspath(shutil.which(python) or python) for python in options.python or [sys.executable]]
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    rows = [row for row in ROWS if not options.only or row.workload in options.only]
    where = machine()
    print("{system}, {processor}, {cpus} CPUs, load {load:.1f}".format(**where), f"{options.rounds} rounds", sep="; ")
    with tempfile.TemporaryDirectory() as directory:
        everybody = [Measurements(python, directory) for python in options.python]
        for each in everybody:
            if each.about["source"] is None:
                print(f"manyhands is not installed in {each.python}", file=sys.stderr)
                return 2
        present = {
            each.python: [row for row in rows if not {row.ours, row.peer} & set(each.about["missing"])]
            for each in everybody
        }
        for turn in range(options.rounds):
            for each in everybody:
                for workload, contestant in in_turns(present[each.python], turn):
                    progress(f"round {turn + 1} of {options.rounds}: {workload} {contestant}")
                    each.measure(workload, contestant)
    progress("")
    report: dict[str, Any] = {"machine": where, "rounds": options.rounds, "interpreters": []}
    for each in everybody:
        results = [each.result(row) for row in present[each.python]]
        print(f"\n{heading(each.about)}\n{table(results)}")
        for problem in each.problems:
            print(f"failed: {problem}")
        measured: dict[str, dict[str, Any]] = {}
        for (workload, contestant), values in each.values.items():
            measured.setdefault(workload, {})[contestant] = values
        report["interpreters"].append({**each.about, "results": results, "measured": measured})
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    try:
        import plots
    except ImportError as error:
        print(f"\nno plots: {error}")
    else:
        for path in plots.draw(report, options.plots):
            print(f"plot: {path}")
    return 1 if any(each.problems for each in everybody) else 0


if __name__ == "__main__":
    sys.exit(main())
