"""`make bench-hostile`: crafted and mutated files, each read in a limited child; how they ended, and how fast."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from app import isolation
from benchmarks.recording import record
from tests.hostile_files import crafted
from tests.hostile_mutations import mutated
from tests.hostile_reading import CPU_SECONDS, Reading, pathological, read_all

N_MUTATED = 5_000
# Values in the hard line of an ARFF file: few, and four times as many.
FEW, MANY = 50_000, 200_000
isolation.preload("tests.hostile_reading", "pandas")


def read(files: Iterator[tuple[str, bytes]]) -> list[Reading]:
    """Read the files; what ended badly is printed by name."""
    with tempfile.TemporaryDirectory() as folder:
        readings = read_all(files, Path(folder))
    for reading in readings:
        if reading.ending == "bug" or reading.ending.startswith("child"):
            print(reading)
    return readings


def figures_of(kind: str, readings: list[Reading]) -> dict[str, float]:
    """Counts by ending, and the longest reading."""
    counts = Counter(reading.ending for reading in readings)
    return {
        f"{kind} files": len(readings),
        **{f"{kind}: {ending}": count for ending, count in sorted(counts.items())},
        f"{kind}: bugs": counts["bug"],
        f"{kind}: children that ended": sum(n for ending, n in counts.items() if ending.startswith("child")),
        f"{kind}: longest reading [CPU s]": max(reading.cpu_seconds for reading in readings),
    }


def growth() -> dict[str, float]:
    """CPU time per byte of hard ARFF lines at four times the length, against the shorter line: 1 is linear."""
    few, many = shortest(FEW), shortest(MANY)
    grown = [many[name] / few[name] / (MANY / FEW) for name in few]
    return {
        f"hard ARFF lines of {MANY:,} values: longest reading [CPU s]": max(many.values()),
        "hard ARFF lines: time per byte at four times the length [ratio, largest]": max(grown),
    }


def shortest(size: int) -> dict[str, float]:
    """CPU seconds by hard line, each the least of some readings, since other processes only add."""
    seconds: dict[str, float] = {}
    for _ in range(5):
        for reading in read(iter(pathological(size).items())):
            seconds[reading.name] = min(seconds.get(reading.name, CPU_SECONDS), reading.cpu_seconds)
    return seconds


if __name__ == "__main__":
    isolation.warm_up()
    record(
        "hostile",
        {
            **figures_of("crafted", read((name, make()) for name, make in crafted().items())),
            **figures_of("mutated", read(mutated(N_MUTATED, seed=2))),
            **growth(),
        },
    )
