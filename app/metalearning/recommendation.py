"""The answer: a ranking with expected performance, cost and reasons, from frozen knowledge and one metafeature vector."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.metalearning.baselines import single_best
from app.metalearning.costs import Costs, fit_costs
from app.metalearning.experience import (
    FEWEST_METAFEATURES,
    Experience,
    choose_strategy,
    expected_losses,
    expected_regret,
    nearest_datasets,
    probability_of_beating,
    unlike_any_known,
)
from app.metalearning.metadataset import DATA_DIR, TabularEvidence, load_evidence
from app.metalearning.metafeatures import LEARNED, as_vector
from app.metalearning.metalearners import all_metalearners
from app.metalearning.metalearners.trained import Trained
from app.metalearning.metrics import Metric, requested_metric
from app.metalearning.portfolio import Configuration, Size, find_configuration
from app.metalearning.scaling import QuantileScale
from app.metalearning.table import FloatArray, TaskType

_LEAST_SCORES = {"r2": -np.inf, "spearman": -1.0}  # other metrics whose larger values are better begin at 0
_MOST_BEYOND = 4.0  # a size this many times larger than any known one is outside experience


@dataclass(frozen=True)
class Knowledge(Experience):
    """All that is needed to answer for one task type."""

    evidence: TabularEvidence
    costs: Costs


@dataclass(frozen=True)
class Question:
    """What somebody wants to know."""

    task_type: TaskType
    metafeatures: dict[str, float | None]
    metric: str | None = None
    strategy: str | None = None
    k: int = 5
    target_sd: float | None = None


@dataclass(frozen=True)
class ExpectedPerformance:
    """A score with its 90 % interval; `unit` tells when it is relative to the target's spread."""

    score: float
    low: float
    high: float
    unit: str


@dataclass(frozen=True)
class Candidate:
    """One recommended configuration with what to expect of it."""

    rank: int
    configuration: Configuration
    expected: ExpectedPerformance
    expected_regret: float
    probability_beats_single_best: float | None  # None for the single best itself
    fit_cpu_seconds: float
    predict_cpu_seconds_per_1000_rows: float
    memory_bytes: int


@dataclass(frozen=True)
class Neighbour:
    """A past dataset that the answer rests on, and what won there."""

    dataset: str
    weight: float
    winner: str
    winner_score: float


@dataclass(frozen=True)
class Recommendation:
    """A ranking, with the facts that make it repeatable."""

    candidates: tuple[Candidate, ...]
    metric: Metric
    strategy: str
    outside_experience: bool
    explanation: str
    neighbours: tuple[Neighbour, ...]
    excluded: dict[str, str]
    version: str


def load_knowledge(folder: Path = DATA_DIR) -> dict[TaskType, Knowledge]:
    """Read the shipped meta-dataset and meta-learners; no file of these is ever unpickled."""
    report = json.loads((folder / "meta-learners.json").read_text())
    version = _hash_of(folder)
    knowledge = {}
    for task_type in TaskType:
        evidence = load_evidence(task_type, folder)
        trained = Trained.load(folder / f"trained-{task_type}.npz")
        if (
            len(trained.forest.leaves) != len(evidence.datasets)
            or tuple(report[task_type]["configurations"]) != evidence.configurations
        ):
            raise RuntimeError(
                f"The meta-learners in {folder} were fitted on other evidence: metaselect metadataset fit"
            )
        knowledge[task_type] = Knowledge(
            evidence=evidence,
            learners=all_metalearners(evidence, trained),
            trained=trained,
            scale=QuantileScale(evidence.metafeatures),
            costs=fit_costs(evidence),
            report=report[task_type],
            version=version,
        )
    return knowledge


def recommend(knowledge: Knowledge, question: Question) -> Recommendation:
    """Rank the configurations for one dataset.

    Raises: InvalidRequestError, of which unknown metafeatures, metrics and strategies are kinds.
    """
    vector = as_vector(question.metafeatures, question.task_type)
    n_classes = int(question.metafeatures.get("nr_class") or 2)
    metric = requested_metric(question.metric, question.task_type, n_classes)
    choice = choose_strategy(
        knowledge, question.strategy, _outside_because(knowledge, vector), "configuration"
    )
    learner = knowledge.learners[choice.strategy]
    size = _size(vector)
    feasible, excluded = _feasible(knowledge.evidence, vector)
    order = learner.rank(vector, feasible, question.k)
    regret = expected_regret(knowledge, vector)
    expected = _expected_performances(knowledge, question, metric, vector, n_classes)
    sbs = single_best(knowledge.evidence.regret)
    fit_seconds = knowledge.costs.fit_seconds.predict(*size, knowledge.trained.forest.shrunk_weights(vector))
    predict_seconds = knowledge.costs.predict_seconds_per_1000_rows.predict(*size)
    memory = knowledge.costs.memory_bytes.predict(*size)
    candidates = tuple(
        Candidate(
            rank=rank,
            configuration=find_configuration(knowledge.evidence.configurations[index]),
            expected=expected[index],
            expected_regret=float(regret[index]),
            probability_beats_single_best=probability_of_beating(knowledge, regret, index, sbs),
            fit_cpu_seconds=float(fit_seconds[index]),
            predict_cpu_seconds_per_1000_rows=float(predict_seconds[index]),
            memory_bytes=int(memory[index]),
        )
        for rank, index in enumerate(order, start=1)
    )
    return Recommendation(
        candidates,
        metric,
        choice.strategy,
        choice.outside_experience,
        choice.explanation,
        _neighbours(knowledge, vector, metric),
        excluded,
        knowledge.version,
    )


def _outside_because(knowledge: Knowledge, vector: FloatArray) -> str | None:
    if np.sum(~np.isnan(vector)) < FEWEST_METAFEATURES:
        return f"Fewer than {FEWEST_METAFEATURES} metafeatures are given."
    known = knowledge.evidence.metafeatures
    for name in ("nr_inst", "nr_attr", "nr_class"):
        index = LEARNED.index(name)
        if not np.isnan(vector[index]) and vector[index] > _MOST_BEYOND * np.nanmax(
            known[:, index], initial=1
        ):
            return f"{name} = {vector[index]:g} is far beyond every known dataset."
    return unlike_any_known(knowledge, vector)


def _size(vector: FloatArray) -> tuple[float, float, float]:
    """Rows, columns and classes, with common values for what is not given."""
    rows, columns, classes = (vector[LEARNED.index(name)] for name in ("nr_inst", "nr_attr", "nr_class"))
    return (
        1000.0 if math.isnan(rows) else float(rows),
        10.0 if math.isnan(columns) else float(columns),
        1.0 if math.isnan(classes) else float(classes),
    )


def _feasible(evidence: TabularEvidence, vector: FloatArray) -> tuple[list[int], dict[str, str]]:
    """Indices of the configurations that can run on such a dataset, and why the others cannot."""
    size = _known_size(vector)
    # No evidence of a configuration that needs a GPU has been shipped yet, so none of these can be asked about here.
    reasons = {
        name: find_configuration(name).algorithm.requirements.why_not(size, gpu=False)
        for name in evidence.configurations
    }
    feasible = [index for index, name in enumerate(evidence.configurations) if reasons[name] is None]
    return feasible, {name: reason for name, reason in reasons.items() if reason is not None}


def _known_size(vector: FloatArray) -> Size:
    """The size that the metafeatures tell; what they do not tell excludes nothing."""
    names = ("nr_inst", "nr_attr", "nr_class", "freq_class.min")
    rows, columns, classes, rarest = (
        None if math.isnan(value) else float(value)
        for value in (vector[LEARNED.index(name)] for name in names)
    )
    smallest = round(rows * rarest) if rows is not None and rarest is not None else None
    return Size(rows, columns, classes, smallest)


def _expected_performances(
    knowledge: Knowledge, question: Question, metric: Metric, vector: FloatArray, n_classes: int
) -> list[ExpectedPerformance]:
    """Weighted means of the metric on past datasets; the interval is calibrated on datasets that were held out."""
    ends = expected_losses(knowledge, knowledge.evidence.losses[metric.name], vector)
    ends[1] = np.maximum(ends[1], 0.0)
    scale, unit = 1.0, metric.name
    if metric.name == "log_loss":
        entropy_bits = question.metafeatures.get("class_ent")
        scale = math.log(2) * entropy_bits if entropy_bits else math.log(max(2, n_classes))
    elif metric.name in {"rmse", "mae"}:
        scale = question.target_sd or 1.0
        unit = metric.name if question.target_sd else f"{metric.name} / standard deviation of the target"
    scores = metric.score(ends, scale)
    if metric.larger_is_better:
        scores = np.maximum(scores, _LEAST_SCORES.get(metric.name, 0.0))
    return [
        ExpectedPerformance(
            float(scores[0, index]),
            float(scores[1:, index].min()),
            float(scores[1:, index].max()),
            unit,
        )
        for index in range(ends.shape[1])
    ]


def _neighbours(knowledge: Knowledge, vector: FloatArray, metric: Metric) -> tuple[Neighbour, ...]:
    """The past datasets that weigh most, with the configuration that won there by the metric."""
    evidence = knowledge.evidence
    losses = evidence.losses[metric.name]
    return tuple(
        Neighbour(
            evidence.datasets[each.row],
            each.weight,
            evidence.configurations[each.winner],
            float(metric.score(losses[each.row, each.winner])),
        )
        for each in nearest_datasets(knowledge, losses, vector)
    )


def _hash_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in {".parquet", ".npz", ".json"}:
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]
