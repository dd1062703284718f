"""What there is to learn from: scores that this service's workers measured, and reports of sources that are trusted."""

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.metalearning.knowledge import FORMAT, shipped_report, shipped_version
from app.metalearning.learned import LearnedDataset, as_lines
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
    reports: tuple[str, ...]  # ids of those that said some of it
    n_evaluations: int  # that there were, enough or not

    @property
    def snapshot(self) -> str:
        """The hash of the shipped version and of all of this: the same evidence has the same, whoever removes what.

        Another format of what is fitted on it is another one: what cannot be read any more has to be fitted again.
        """
        known = [FORMAT, shipped_version(), as_lines(self.datasets)]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


@dataclass
class _Dataset:
    """A dataset that several rows teach something about; `key` is the dataset's, which takes a while to tell."""

    key: str
    dataset: LearnedDataset
    scores: dict[str, Mapping[str, float] | None] = field(default_factory=dict)
    reports: set[str] = field(default_factory=set)  # that said some of it
    told_at: float = 0.0  # when the newest of it came

    def learned(self) -> LearnedDataset:
        """The dataset with all that was told."""
        return replace(self.dataset, scores=self.scores)


@dataclass(frozen=True)
class _Lesson:
    """What one row teaches: some scores on a dataset."""

    owner: str
    about: _Dataset
    told_at: float
    scores: Mapping[str, Mapping[str, float] | None]
    report: str | None = None

    def tell(self, told: _Dataset) -> None:
        """Add what is new to what is known of the dataset: the first word stands."""
        told.told_at = max(told.told_at, self.told_at)
        new = {name: scores for name, scores in self.scores.items() if name not in told.scores}
        told.scores.update(new)
        if new and self.report is not None:
            told.reports.add(self.report)


def gather(session: Session, task_type: TaskType) -> Lessons:
    """Every dataset that teaches, of one owner the newest; what was measured here outweighs reports, new ones old ones."""
    known: dict[str, dict[str, _Dataset]] = {}
    for lesson in itertools.chain(_measured(session, task_type), _reported(session, task_type)):
        of_owner = known.setdefault(lesson.owner, {})
        lesson.tell(of_owner.setdefault(lesson.about.key, replace(lesson.about, scores={}, reports=set())))
    configurations = shipped_report(task_type)["configurations"]
    chosen: dict[str, _Dataset] = {}
    for of_owner in known.values():
        teaching = [each for each in of_owner.values() if each.learned().teaches(configurations)]
        teaching.sort(key=lambda each: -each.told_at)
        for each in teaching[:MOST_DATASETS_PER_OWNER]:
            chosen.setdefault(each.key, each)
    return Lessons(
        tuple(chosen[key].learned() for key in sorted(chosen)),
        tuple(sorted({report for each in chosen.values() for report in each.reports})),
        count(session, task_type),
    )


def trusted_reports(session: Session, task_type: TaskType) -> set[str]:
    """The ids of all reports that may be learned from."""
    rows = _reported_rows(task_type).with_only_columns(EvaluationReport.id).order_by(None)
    return set(session.scalars(rows))


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
            Evaluation.created_at,
        )
        .join(Dataset, Dataset.id == Evaluation.dataset_id)
        .where(
            *_teaches(task_type),
            Evaluation.protocol == PROTOCOL,
            Evaluation.configuration.in_(list(CONFIGURATIONS)),  # searches try others too
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
            yield _Lesson(row.owner, about[row.dataset_id], row.created_at, scores)


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
            yield _Lesson(report.owner, described, report.created_at, scores, report.id)


def _described(
    task_type: TaskType, metafeatures: Mapping[str, float | None], target_sd: float | None
) -> _Dataset:
    n_classes = int(metafeatures.get("nr_class") or 2) if task_type is TaskType.CLASSIFICATION else 0
    dataset = LearnedDataset(task_type, n_classes, target_sd, metafeatures, {})
    return _Dataset(dataset.key, dataset)


def _is_of_today(configuration: str, fingerprint: str) -> bool:
    """Whether the configuration is still called so, and still the same."""
    known = CONFIGURATIONS.get(configuration)
    return known is not None and known.fingerprint == fingerprint
