"""What an act saw: counts, samples, and objections, of which a single one fails the run."""

import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_MOST_SHOWN = 20


@dataclass
class Report:
    """Of one act in one set-up."""

    act: str
    setup: str
    count: int
    code: str = ""  # what was put to the test, see `versions.code`
    seconds: float = 0.0
    counts: dict[str, float] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)  # seconds, each under its name
    objections: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic, repr=False)

    def add(self, name: str, number: float = 1) -> None:
        """Count something."""
        self.counts[name] = self.counts.get(name, 0) + number

    def sample(self, name: str, seconds: float) -> None:
        """Keep how long something took."""
        self.samples.setdefault(name, []).append(round(seconds, 3))

    def demand(self, holds: object, objection: str) -> None:
        """Object unless it holds."""
        if not holds:
            self.objections.append(objection)

    def demand_none(self, found: Any, objection: str) -> None:
        """Object to what was found; the first of it is named."""
        listed = sorted(map(str, found))
        more = f" and {len(listed) - _MOST_SHOWN} more" if len(listed) > _MOST_SHOWN else ""
        self.demand(not listed, f"{objection}: {', '.join(listed[:_MOST_SHOWN])}{more}")

    def demand_quick(self, name: str, most_seconds: float, percent: float = 99) -> None:
        """Object if more than the rest of so many percent took longer, or if nothing was seen at all."""
        samples = self.samples.get(name, [])
        self.demand(samples, f"{name}: nobody saw how long")
        late = percentile(samples, percent)
        self.demand(
            late <= most_seconds, f"{name}: {late:.1f} s at p{percent:g}, {most_seconds:g} s are allowed"
        )

    def lines(self) -> list[str]:
        """The report as it is printed."""
        per_unit = f"{self.seconds / self.count:.2f} s each" if self.count else ""
        head = f"{self.act} on {self.setup}: {self.count} times in {self.seconds:.0f} s, {per_unit}"
        counts = [f"  {name}: {value:g}" for name, value in self.counts.items()]
        samples = [
            f"  {name}: p50 {percentile(values, 50):.2f} s, p99 {percentile(values, 99):.2f} s, at most {max(values):.2f} s, {len(values)} times"
            for name, values in self.samples.items()
        ]
        return [head, *counts, *samples, *(f"  OBJECTION {each}" for each in self.objections)]

    def end(self) -> None:
        """Note how long it took."""
        self.seconds = time.monotonic() - self.began

    def save(self, path: Path) -> None:
        """Write it down, whole or not at all."""
        writing = path.with_suffix(".writing")
        writing.write_text(json.dumps({**asdict(self), "began": 0.0}, indent=1))
        writing.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Report":
        """What an earlier run wrote down."""
        return cls(**json.loads(path.read_text()))


def percentile(values: list[float], percent: float) -> float:
    """The value that so many percent do not exceed; 0 of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)] if ordered else 0.0
