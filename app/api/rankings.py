"""How a ranking of configurations is shown, stored, and compared with what was stored."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import Field

from app.api.datasets import FindingResponse
from app.api.schemas import ResponseModel
from app.metalearning.metafeatures import SCHEMA_VERSION
from app.metalearning.recommendation import Candidate, Question, Recommendation
from app.metalearning.table import TaskType
from app.store.tables import Dataset

# Numbers that differ by no more are the same.
REPEATABLE = 1e-9


class ExpectedPerformanceResponse(ResponseModel):
    """A score with its 90 % interval."""

    score: float
    low: float
    high: float
    unit: str


class CandidateResponse(ResponseModel):
    """A configuration and what to expect of it."""

    rank: int
    configuration: str
    algorithm: str
    family: str
    hyperparameters: dict[str, Any]
    expected: ExpectedPerformanceResponse
    expected_regret: float
    probability_best: float | None = Field(
        default=None, description="That nothing else of what the constraints leave has a smaller loss."
    )
    probability_beats_single_best: float | None
    fit_cpu_seconds: float
    predict_cpu_seconds_per_1000_rows: float
    memory_bytes: int
    snippet: str | None


class NeighbourResponse(ResponseModel):
    """A past dataset that the answer rests on."""

    dataset: str
    weight: float
    winner: str
    winner_score: float


class SimilarDatasetResponse(ResponseModel):
    """A past dataset on which the same configurations win, as far as metafeatures tell."""

    dataset: str
    distance: float = Field(
        description="In the space that metric learning gave; 1 is the middle distance between two known datasets."
    )
    winner: str
    winner_score: float


class InfluenceResponse(ResponseModel):
    """A metafeature that moved the first candidate."""

    metafeature: str
    value: float | None = Field(description="Null where it is not known: the usual one stood for it.")
    effect: float = Field(
        description="On its expected regret against the single best's, or on its own where it is that; below 0 speaks for it."
    )


class JobLink(ResponseModel):
    """The verification that was begun."""

    id: str
    href: str


class RecommendationResponse(ResponseModel):
    """A ranking; versions make it repeatable."""

    id: str
    dataset_id: str | None
    task_type: TaskType
    metric: str
    strategy: str
    explanation: str
    outside_experience: bool
    candidates: list[CandidateResponse]
    neighbours: list[NeighbourResponse]
    similar: list[SimilarDatasetResponse]
    moved_by: list[InfluenceResponse]
    excluded: dict[str, str]
    findings: list[FindingResponse]
    absent_metafeatures: list[str]
    metafeature_version: int
    knowledge_version: str
    job: JobLink | None


class RecomputedResponse(ResponseModel):
    """What came out when the same question was answered again."""

    same: bool = Field(description="Every word is the same, and every number to 1e-9.")
    largest_difference: float | None = Field(
        description="Between two numbers; null where something else differs."
    )


class RememberedResponse(RecommendationResponse):
    """A recommendation as it was given; what quoted the data is gone once its dataset is erased."""

    explanation: str = ""
    findings: list[FindingResponse] = Field(default_factory=list)
    similar: list[SimilarDatasetResponse] = Field(default_factory=list)
    moved_by: list[InfluenceResponse] = Field(default_factory=list)
    created_at: datetime | None
    recomputed: RecomputedResponse | None


def as_body(ranking: Recommendation, question: Question, dataset: Dataset | None) -> dict[str, Any]:
    """What is stored of a ranking, and answered with its id."""
    return {
        "dataset_id": dataset.id if dataset else None,
        "task_type": str(question.task_type),
        "metric": ranking.metric.name,
        "strategy": ranking.strategy,
        "explanation": ranking.explanation,
        "outside_experience": ranking.outside_experience,
        "candidates": [_candidate(candidate, question) for candidate in ranking.candidates],
        "neighbours": [asdict(neighbour) for neighbour in ranking.neighbours],
        "similar": [asdict(each) for each in ranking.similar],
        "moved_by": [asdict(influence) for influence in ranking.moved_by],
        "excluded": ranking.excluded,
        "findings": dataset.findings if dataset else [],
        "absent_metafeatures": dataset.absent_metafeatures if dataset else [],
        "metafeature_version": SCHEMA_VERSION,
        "knowledge_version": ranking.version,
    }


def _candidate(candidate: Candidate, question: Question) -> dict[str, Any]:
    configuration = candidate.configuration
    return {
        "rank": candidate.rank,
        "configuration": configuration.id,
        "algorithm": configuration.algorithm.name,
        "family": configuration.algorithm.family,
        "hyperparameters": configuration.hyperparameters,
        "expected": asdict(candidate.expected),
        "expected_regret": candidate.expected_regret,
        "probability_best": candidate.probability_best,
        "probability_beats_single_best": candidate.probability_beats_single_best,
        "fit_cpu_seconds": candidate.fit_cpu_seconds,
        "predict_cpu_seconds_per_1000_rows": candidate.predict_cpu_seconds_per_1000_rows,
        "memory_bytes": candidate.memory_bytes,
        "snippet": configuration.snippet if question.explain else None,
    }


def largest_difference(one: Any, other: Any) -> float | None:
    """The largest difference between numbers at the same places; None where anything else differs."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return _largest([largest_difference(one[name], other[name]) for name in one])
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        return _largest([largest_difference(*both) for both in zip(one, other, strict=True)])
    if _is_number(one) and _is_number(other):
        return abs(float(one) - float(other))
    return 0.0 if one == other else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _largest(differences: list[float | None]) -> float | None:
    known = [each for each in differences if each is not None]
    return max(known, default=0.0) if len(known) == len(differences) else None
