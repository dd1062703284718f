"""Giving trials up halfway: successive halving that waits for nobody (ASHA, Li et al. 2020), and in brackets (Hyperband, Li et al. 2018).

The rungs are the learning curve's anchors: so many rows are learned from before a trial is measured in full. A trial goes
on where it is among the best of those that were there before it; none is taken up again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.metalearning.metrics import METRICS
from app.metalearning.protocol import ANCHORS

REDUCTION = 4  # the share of a rung that goes on is one in so many: anchors grow fourfold
N_BRACKETS = (
    len(ANCHORS) + 1
)  # from the first anchor, from the second, …, and of those that are never given up


@dataclass(frozen=True)
class Rungs:
    """What others had reached at every anchor of a bracket, as losses."""

    called = "rung"  # under which a result tells why it was given up

    metric: str
    losses: Mapping[str, Sequence[float]]  # by anchor, as JSON names them

    def leaves_behind(self, curve: Sequence[Mapping[str, Any]], n_rows: int) -> dict[str, Any] | None:  # noqa: ARG002
        """Why the trial is given up at its newest point; None where it goes on.

        Args:
            curve: points with `anchor` and scores by metric, as far as they are known.
            n_rows: how many rows there are in all; nothing depends on it.

        Returns: the `anchor`, the `score` there, and the score that was `needed`.
        """
        metric, point = METRICS[self.metric], curve[-1]
        others = self.losses.get(str(point["anchor"]))
        score = point.get(self.metric)
        if others is None or score is None:
            return None
        ranked = sorted([*others, float(metric.loss(score))])
        needed = ranked[max(1, len(ranked) // REDUCTION) - 1]
        if float(metric.loss(score)) <= needed:
            return None
        return {
            "metric": self.metric,
            "anchor": point["anchor"],
            "score": float(score),
            "needed": float(metric.score(needed)),
        }


def bracket_of(number: int) -> int:
    """Hyperband's bracket of a trial: shares as its own, dealt so that they hold at any time.

    A bracket that starts later gives every trial more rows, and so has fewer of them.
    """
    shares = _shares()
    dealt = [0] * N_BRACKETS
    chosen = 0
    for count in range(number + 1):
        chosen = max(range(N_BRACKETS), key=lambda each: shares[each] * (count + 1) - dealt[each])
        dealt[chosen] += 1
    return chosen


def anchors_of(bracket: int) -> tuple[int, ...]:
    """The rungs of a bracket."""
    return ANCHORS[bracket:]


def _shares() -> list[float]:
    """How many trials Hyperband begins in every bracket, as shares."""
    begun = [
        N_BRACKETS / (N_BRACKETS - bracket) * REDUCTION ** (N_BRACKETS - 1 - bracket)
        for bracket in range(N_BRACKETS)
    ]
    return [each / sum(begun) for each in begun]
