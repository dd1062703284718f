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
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks import recording
from benchmarks.recording import ROOT
from chaos.performing import figures, perform
from chaos.plan import ACTS
from chaos.service import SETUPS

SETUPS_AT_ONCE = 2


def main() -> int:
    """Perform what is left to do; how many objections there are."""
    asked = _arguments()
    acts = [act for act in ACTS if asked.only is None or act.name in asked.only]
    is_from_the_beginning, began = not any(asked.out.glob("*.json")), time.monotonic()
    # Acts wait for leases and restarts most of the time, so that two set-ups hardly disturb one another. The last set-up
    # takes about as long as the others together.
    with ProcessPoolExecutor(SETUPS_AT_ONCE) as pool:
        performing = [
            pool.submit(perform, setup, acts, asked.count, asked.out) for setup in reversed(asked.setup)
        ]
        reports = [report for each in performing for report in each.result()]
    objections = sum(len(report.objections) for report in reports)
    minutes = sum(report.seconds for report in reports) / 60
    print(
        f"{len(reports)} acts in {minutes:.1f} minutes, {objections} objections; the reports are in {asked.out}"
    )
    if asked.record:
        took = {"from beginning to end [min]": (time.monotonic() - began) / 60}
        recording.record("chaos", figures(reports) | (took if is_from_the_beginning else {}))
    return min(objections, 100)


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
    if not any(
        setup in act.counts for act in ACTS if act.name in (asked.only or names) for setup in asked.setup
    ):
        parser.error(f"none of that happens to {', '.join(asked.setup)}")
    return asked


if __name__ == "__main__":
    sys.exit(main())
