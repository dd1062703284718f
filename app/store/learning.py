"""What there is to learn from: scores that this service's workers measured, and reports of sources that are trusted."""

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.metalearning.knowledge import shipped_version
from app.metalearning.learned import FEWEST_SCORES, LearnedDataset, as_lines
from app.metalearning.metafeatures import SCHEMA_VERSION
from app.metalearning.portfolio import CONFIGURATIONS
from app.metalearning.protocol import PROTOCOL
from app.metalearning.table import TaskType
from app.store.tables import Dataset, Evaluation, EvaluationReport, EvaluationSource

# Nobody teaches more than this many datasets, the newest: what one knows must not drown what all know.
MOST_DATASETS_PER_OWNER = 100


@dataclass(frozen=True)
class Lessons:
    """What a retraining learns from, beside what ships."""

    datasets: tuple[LearnedDataset, ...]
    reports: tuple[str, ...]  # ids of all that may be among it
    n_evaluations: int  # that there were, enough or not

    @property
    def snapshot(self) -> str:
        """The hash of the shipped version and of all of this: the same evidence has the same, whoever removes what."""
        known = [shipped_version(), as_lines(self.datasets)]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class _Dataset:
    """A dataset that several rows teach something about; `name` is the dataset's, which takes a while to tell."""

    name: str
    dataset: LearnedDataset
    scores: dict[str, Mapping[str, float] | None] = field(default_factory=dict)

    def learned(self) -> LearnedDataset:
        """The dataset with all that was told."""
        return replace(self.dataset, scores=self.scores)


@dataclass(frozen=True)
class _Lesson:
    """What one row teaches: some scores on a dataset."""

    owner: str
    about: _Dataset
    scores: Mapping[str, Mapping[str, float] | None]
    report: str | None = None


def gather(session: Session, task_type: TaskType) -> Lessons:
    """Every dataset with enough scores, at most so many of one owner's; what was measured here outweighs reports."""
    known: dict[str, dict[str, _Dataset]] = {}
    reports = set()
    for lesson in itertools.chain(_measured(session, task_type), _reported(session, task_type)):
        of_owner = known.setdefault(lesson.owner, {})
        told = of_owner.setdefault(lesson.about.name, lesson.about)
        for configuration, scores in lesson.scores.items():
            told.scores.setdefault(configuration, scores)  # newer ones come first: the first word stands
        if lesson.report is not None:
            reports.add(lesson.report)
    enough: dict[str, LearnedDataset] = {}
    for of_owner in known.values():
        learned = [(name, each.learned()) for name, each in of_owner.items()]
        complete = [(name, each) for name, each in learned if each.n_scores >= FEWEST_SCORES]
        for name, each in complete[:MOST_DATASETS_PER_OWNER]:
            enough.setdefault(name, each)
    datasets = tuple(enough[name] for name in sorted(enough))
    return Lessons(datasets, tuple(sorted(reports)), count(session, task_type))


def count(session: Session, task_type: TaskType) -> int:
    """How many evaluations there are to learn from."""
    measured = session.scalar(_counted(_measured_rows(task_type), func.count()))
    reported = session.scalar(
        _counted(_reported_rows(task_type), func.coalesce(func.sum(EvaluationReport.n_evaluations), 0))
    )
    return int(measured or 0) + int(reported or 0)


def _counted(rows: Any, what: Any) -> Any:
    return rows.with_only_columns(what).order_by(None)


def _measured_rows(task_type: TaskType) -> Any:
    """Newest first."""
    return (
        select(
            Evaluation.owner,
            Evaluation.dataset_id,
            Evaluation.configuration,
            Evaluation.fingerprint,
            Evaluation.status,
            Evaluation.result["scores"].label("scores"),
        )
        .join(Dataset, Dataset.id == Evaluation.dataset_id)
        .where(
            *_teaches(task_type),
            Evaluation.protocol == PROTOCOL,
            Evaluation.status != "not_applicable",  # which says nothing of how good a configuration is
        )
        .order_by(Evaluation.experiment_id.desc())
    )


def _teaches(task_type: TaskType) -> tuple[Any, ...]:
    """Which datasets may be learned from."""
    return (
        Dataset.contribute,
        Dataset.task_type == str(task_type),
        Dataset.metafeature_version == SCHEMA_VERSION,  # values of another one mean something else
    )


def _measured(session: Session, task_type: TaskType) -> Iterator[_Lesson]:
    # Read once for each dataset, not beside each of its scores.
    described = select(Dataset.id, Dataset.metafeatures, Dataset.target_sd).where(*_teaches(task_type))
    about = {
        row.id: _described(task_type, row.metafeatures, row.target_sd) for row in session.execute(described)
    }
    for row in session.execute(_measured_rows(task_type)):
        if _is_of_today(row.configuration, row.fingerprint) and row.dataset_id in about:
            scores = {row.configuration: row.scores if row.status == "ok" else None}
            yield _Lesson(row.owner, about[row.dataset_id], scores)


def _reported_rows(task_type: TaskType) -> Any:
    """Of sources that are trusted, newest first."""
    return (
        select(EvaluationReport)
        .join(EvaluationSource, EvaluationSource.id == EvaluationReport.source_id)
        .where(EvaluationSource.trusted_at.is_not(None), EvaluationReport.task_type == str(task_type))
        .order_by(EvaluationReport.id.desc())
    )


def _reported(session: Session, task_type: TaskType) -> Iterator[_Lesson]:
    for report in session.scalars(_reported_rows(task_type)):
        if report.dataset["metafeature_version"] == SCHEMA_VERSION:
            scores = {
                each["configuration"]: each["scores"]
                for each in report.evaluations
                if _is_of_today(each["configuration"], each["fingerprint"])
            }
            described = _described(task_type, report.dataset["metafeatures"], report.dataset["target_sd"])
            yield _Lesson(report.owner, described, scores, report.id)


def _described(
    task_type: TaskType, metafeatures: Mapping[str, float | None], target_sd: float | None
) -> _Dataset:
    n_classes = int(metafeatures.get("nr_class") or 2) if task_type is TaskType.CLASSIFICATION else 0
    dataset = LearnedDataset(task_type, n_classes, target_sd, metafeatures, {})
    return _Dataset(dataset.name, dataset)


def _is_of_today(configuration: str, fingerprint: str) -> bool:
    """Whether the configuration is still called so, and still the same."""
    known = CONFIGURATIONS.get(configuration)
    return known is not None and known.fingerprint == fingerprint
