"""Performs acts on one service per set-up, and keeps what each of them reported."""

import time
from pathlib import Path
from typing import Any

from chaos import oracle
from chaos.plan import Act
from chaos.report import Report, percentile
from chaos.service import Service, service

ENDING = "ending"


def perform(setup: str, acts: list[Act], counts: dict[str, int], out: Path, **wishes: Any) -> list[Report]:
    """The reports of a set-up: those that earlier runs left, and of what is left to do, by counts other than the plan's.

    `wishes` are the service's: `lease_seconds`, `size`.
    """
    out.mkdir(parents=True, exist_ok=True)
    paths = {act.name: out / f"{act.name}-{setup}.json" for act in acts if setup in act.counts}
    left = [act for act in acts if act.name in paths and not paths[act.name].exists()]
    if left:
        began = time.monotonic()
        with service(setup, **wishes) as started:
            oracle.keep_log(started)
            print(f"{setup} is up after {time.monotonic() - began:.1f} s", flush=True)
            for act in left:
                report = Report(act.name, setup, counts.get(act.name, act.counts[setup]))
                act.perform(started, report.count, report)
                _save(report, paths[act.name])
            _save(_end(started), out / f"{ENDING}-{setup}.json")
    return [Report.load(path) for path in [*paths.values(), out / f"{ENDING}-{setup}.json"] if path.exists()]


def figures(reports: list[Report]) -> dict[str, float]:
    """Counts and percentiles of all set-ups together, by name and unit."""
    found: dict[str, float] = {}
    samples: dict[str, list[float]] = {}
    for report in reports:
        for name, number in report.counts.items():
            key = f"{report.act}: {name} [count]"
            found[key] = found.get(key, 0.0) + number
        for name, values in report.samples.items():
            samples.setdefault(f"{report.act}: {name}", []).extend(values)
    for name, values in samples.items():
        found |= {f"{name}, {percent}th percentile [s]": percentile(values, percent) for percent in (50, 99)}
    found["objections [count]"] = float(sum(len(report.objections) for report in reports))
    found["all acts [min]"] = sum(report.seconds for report in reports) / 60
    return found


def _end(started: Service) -> Report:
    """A service that ends takes all of its processes along, whatever happened to it."""
    report = Report(ENDING, started.setup, 1)
    report.demand_none(started.stop(), "processes that outlived the service")
    return report


def _save(report: Report, path: Path) -> None:
    report.end()
    report.save(path)
    print(*report.lines(), sep="\n", flush=True)
