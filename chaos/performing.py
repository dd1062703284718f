"""Performs acts on one service per set-up, and keeps what each of them reported."""

import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks import versions
from chaos import oracle
from chaos.plan import Act
from chaos.report import Report, percentile
from chaos.service import Service, service

ENDING = "ending"


def perform(setup: str, acts: list[Act], counts: dict[str, int], out: Path, **wishes: Any) -> list[Report]:
    """The reports of a set-up: those that earlier runs of the same code left, and of what is left to do.

    `counts` are other ones than the plan's. `wishes` are the service's: `lease_seconds`, `size`, `patience`.
    """
    out.mkdir(parents=True, exist_ok=True)
    code = versions.code()
    wanted = {act.name: counts.get(act.name, act.counts[setup]) for act in acts if setup in act.counts}
    reports = {name: _earlier(out / f"{name}-{setup}.json", code, count) for name, count in wanted.items()}
    ending = out / f"{ENDING}-{setup}.json"
    ended = _earlier(ending, code)
    left = [act for act in acts if act.name in wanted and reports[act.name] is None]
    if left:
        began = time.monotonic()
        with service(setup, **wishes) as started:
            oracle.keep_log(started)
            print(f"{setup} is up after {time.monotonic() - began:.1f} s", flush=True)
            for act in left:
                report = Report(act.name, setup, wanted[act.name], code)
                try:
                    act.perform(started, report.count, report)
                except Exception as error:
                    report.demand(False, f"the act broke off: {error!r}")
                    _save(report, out / f"{act.name}-{setup}.json", started)
                    raise
                _save(report, out / f"{act.name}-{setup}.json", started)
                reports[act.name] = report
            ended = _end(started, code, ended)
            _save(ended, ending, started)
    return [report for report in [*reports.values(), ended] if report is not None]


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


def _earlier(path: Path, code: str, count: int | None = None) -> Report | None:
    """What an earlier run saw of the same code, as often; of code that was changed since its commit nobody can tell."""
    if code.endswith(versions.CHANGED) or not path.exists():
        return None
    report = Report.load(path)
    return report if report.code == code and count in (None, report.count) else None


def _end(started: Service, code: str, earlier: Report | None) -> Report:
    """A service that ends takes all of its processes along, whatever happened to it; an earlier run's objections stay."""
    report = Report(ENDING, started.setup, earlier.count + 1 if earlier else 1, code)
    report.objections += earlier.objections if earlier else []
    report.demand_none(started.stop(), "processes that outlived the service")
    return report


def _save(report: Report, path: Path, started: Service) -> None:
    """Keep the report, and what every process had logged if there is anything to object to."""
    report.end()
    report.save(path)
    print(*report.lines(), sep="\n", flush=True)
    if report.objections:
        logs = path.with_suffix(".logs")
        logs.mkdir(exist_ok=True)
        for log in started.folder.glob("*.log"):
            shutil.copy(log, logs)
        print(f"  the logs are in {logs}", flush=True)
