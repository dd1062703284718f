"""`make chaos`: every act in every set-up. A run that was cut off goes on; one objection fails it.

python -m chaos --only killing,outages --setup redis --count killing=20    less of it
python -m chaos --record    and write the counts to benchmarks/results/chaos.json
"""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import argparse
import sys
import time
from pathlib import Path

from benchmarks import recording
from benchmarks.recording import ROOT
from chaos import oracle
from chaos.plan import ACTS, Act
from chaos.report import Report, percentile
from chaos.service import SETUPS, Service, service


def main() -> int:
    """Perform what is left to do; how many objections there are."""
    asked = _arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    acts = [act for act in ACTS if asked.only is None or act.name in asked.only]
    reports = [
        report for setup in asked.setup for report in _perform_all(setup, acts, asked.count, asked.out)
    ]
    objections = sum(len(report.objections) for report in reports)
    minutes = sum(report.seconds for report in reports) / 60
    print(
        f"{len(reports)} acts in {minutes:.1f} minutes, {objections} objections; the reports are in {asked.out}"
    )
    if asked.record:
        recording.record("chaos", _figures(reports))
    return min(objections, 100)


def _perform_all(setup: str, acts: list[Act], counts: dict[str, int], out: Path) -> list[Report]:
    """The reports of a set-up: those of earlier runs, and of what they left to do."""
    paths = {act.name: out / f"{act.name}-{setup}.json" for act in acts if setup in act.counts}
    left = [act for act in acts if act.name in paths and not paths[act.name].exists()]
    if left:
        began = time.monotonic()
        with service(setup) as started:
            oracle.keep_log(started)
            print(f"{setup} is up after {time.monotonic() - began:.1f} s", flush=True)
            for act in left:
                count = counts.get(act.name, act.counts[setup])
                _perform(act, started, count).save(paths[act.name])
                print(*Report.load(paths[act.name]).lines(), sep="\n", flush=True)
    return [Report.load(path) for path in paths.values()]


def _perform(act: Act, started: Service, count: int) -> Report:
    report = Report(act.name, started.setup, count)
    act.perform(started, count, report)
    return report


def _figures(reports: list[Report]) -> dict[str, float]:
    """Counts and slowest samples, of all set-ups together."""
    figures: dict[str, float] = {}
    samples: dict[str, list[float]] = {}
    for report in reports:
        for name, number in report.counts.items():
            key = f"{report.act}: {name} [count]"
            figures[key] = figures.get(key, 0.0) + number
        for name, values in report.samples.items():
            samples.setdefault(f"{report.act}: {name}", []).extend(values)
    for name, values in samples.items():
        figures |= {f"{name}, {p}th percentile [s]": percentile(values, p) for p in (50, 99)}
    figures["objections [count]"] = float(sum(len(report.objections) for report in reports))
    figures["minutes [min]"] = sum(report.seconds for report in reports) / 60
    return figures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m chaos", description="Everything that may happen to the service."
    )
    names = [act.name for act in ACTS]
    parser.add_argument("--only", type=lambda given: given.split(","), help=f"of {', '.join(names)}")
    parser.add_argument("--count", nargs="*", default=[], metavar="ACT=N", help="how often in each set-up")
    parser.add_argument("--setup", nargs="*", default=SETUPS, choices=SETUPS)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "chaos", help="remove it to begin anew")
    parser.add_argument(
        "--record", action="store_true", help="write the counts beside the benchmarks' results"
    )
    asked = parser.parse_args()
    asked.count = {name: int(number) for name, _, number in (given.partition("=") for given in asked.count)}
    unknown = {*(asked.only or ()), *asked.count} - set(names)
    if unknown:
        parser.error(f"no such act: {', '.join(sorted(unknown))}")
    return asked


if __name__ == "__main__":
    sys.exit(main())
