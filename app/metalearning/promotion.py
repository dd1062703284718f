"""Whether newly fitted meta-learners are to answer from now on: only if held-out datasets say that they should."""

from dataclasses import dataclass
from typing import Any

BASELINE = "portfolio"


@dataclass(frozen=True)
class Verdict:
    """The judgement, with the scores that it rests on: mean normalised regret on datasets that were held out."""

    promoted: bool
    because: str
    candidate: float
    current: float
    portfolio: float


def judge(candidate: dict[str, Any], current: dict[str, Any]) -> Verdict:
    """Compare two reports about the same datasets, held out in the same folds (see `workers.training.proof`).

    The candidate is promoted if its default beats the portfolio and is no worse than the current default.
    """
    scores = candidate["score"]
    mine, fixed = scores[candidate["default"]], scores[BASELINE]
    present = current["score"][current["default"]]
    if mine >= fixed:
        because = f"Its {candidate['default']} ({mine:.4f}) does not beat the portfolio ({fixed:.4f})."
    elif mine > present:
        because = f"It ({mine:.4f}) is worse than what answers now ({present:.4f})."
    else:
        because = f"It ({mine:.4f}) beats the portfolio ({fixed:.4f}) and is no worse than what answers now ({present:.4f})."
    return Verdict(fixed > mine <= present, because, mine, present, fixed)
