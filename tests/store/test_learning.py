"""Reports, trust, what there is to learn from, and which meta-learners answer: on both databases."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from app.errors import (
    NothingToLearnError,
    NothingToRollBackError,
    ReportNotFoundError,
    RetrainingUnderWayError,
    SourceNotFoundError,
    TooManyEvaluationsError,
)
from app.metalearning.metafeatures import SCHEMA_VERSION
from app.metalearning.portfolio import CONFIGURATIONS
from app.metalearning.protocol import PROTOCOL
from app.metalearning.table import TaskType
from app.store import blobs, jobs, learning, promotions, reports, tasks
from app.store.database import Database
from app.store.tables import Blob, Dataset, Evaluation, Job, MetaLearner, Promotion, Task
from tests.store.rows import dataset_row
from tests.store.test_claiming import claim, write
from workers.tasks import retraining, verification

CLASSIFICATION = TaskType.CLASSIFICATION
NAMES = [name for name in CONFIGURATIONS if name.startswith("clf-")][:4]


def report(
    database: Database,
    source: str = "lab",
    rows: int = 500,
    owner: str = "local",
    names: Any = NAMES,
    most: int = 99,
) -> str:
    known = {"metafeatures": {"nr_inst": rows, "nr_class": 2}, "target_sd": None}
    told = [
        {
            "configuration": name,
            "fingerprint": CONFIGURATIONS[name].fingerprint,
            "scores": {"roc_auc": 0.5 + place / 10},
        }
        for place, name in enumerate(names)
    ]
    return write(
        database,
        lambda session: (
            reports.record(
                session,
                owner=owner,
                source=source,
                task_type="classification",
                dataset=known | {"metafeature_version": SCHEMA_VERSION},
                evaluations=told,
                provenance={},
                most=most,
            ).id
        ),
    )


def source_of(database: Database, report_id: str) -> str:
    with database.read() as session:
        return reports.get(session, "local", report_id)[1].id


def trust(database: Database, report_id: str, *, trusted: bool = True) -> None:
    source_id = source_of(database, report_id)
    write(database, lambda session: reports.trust(session, source_id, trusted=trusted))


def lessons(database: Database) -> learning.Lessons:
    with database.read() as session:
        return learning.gather(session, CLASSIFICATION)


def begin(database: Database) -> str:
    return write(
        database,
        lambda session: (
            jobs.begin_retraining(session, owner="local", task_type=CLASSIFICATION, time_budget_seconds=60).id
        ),
    )


def fit(database: Database, folder: Path, content: bytes, resting_on: tuple[str, ...] = ()) -> str:
    """Meta-learners as if a retraining had fitted and promoted them."""
    (folder / "knowledge").write_bytes(content)

    def record(session: Any) -> str:
        job = Job(
            id=f"job_{content.decode()}", owner="local", kind="retraining", status="succeeded", phase="done",
            request={"task_type": "classification", "evaluations": 0}, time_budget_seconds=1,
        )  # fmt: skip
        session.add(job)
        session.flush()
        learner = promotions.record(
            session, task_type="classification", job_id=job.id, snapshot="", shipped="", n_datasets=1,
            n_evaluations=3, reports=list(resting_on), content_hash=blobs.put(session, folder / "knowledge"),
            proof={}, verdict={},
        )  # fmt: skip
        promotions.promote(session, learner, "tested")
        return learner.id

    return write(database, record)


def answering(database: Database) -> str | None:
    with database.read() as session:
        learner = promotions.current(session, CLASSIFICATION)
        return learner.id if learner else None


def test_nothing_is_learned_from_a_source_before_it_is_trusted(database: Database) -> None:
    report_id = report(database)
    before = lessons(database)
    assert (before.datasets, before.n_evaluations) == ((), 0)
    trust(database, report_id)
    found = lessons(database)
    assert (found.reports, found.n_evaluations) == ((report_id,), 4)
    [dataset] = found.datasets
    assert dataset.scores[NAMES[1]] == {"roc_auc": 0.6}
    trust(database, report_id, trusted=False)
    assert lessons(database).snapshot == before.snapshot


def test_removal_restores_the_earlier_snapshot(database: Database) -> None:
    first = report(database)
    trust(database, first)
    before = lessons(database)
    second = report(database, rows=900)
    assert lessons(database).snapshot != before.snapshot
    write(database, lambda session: reports.remove(session, "local", second))
    assert lessons(database).snapshot == before.snapshot
    with database.read() as session, pytest.raises(ReportNotFoundError):
        reports.get(session, "local", second)
    with database.read() as session, pytest.raises(ReportNotFoundError):
        reports.get(session, "somebody", first)


def test_too_few_scores_of_a_dataset_are_no_lesson(database: Database) -> None:
    trust(database, report(database, names=NAMES[:2]))
    assert lessons(database).datasets == ()
    report(database, names=NAMES[2:])  # of the same dataset: together there are four
    assert [each.n_scores for each in lessons(database).datasets] == [4]


def test_nobody_reports_more_than_may_be(database: Database) -> None:
    report(database, most=8)
    report(database, most=8)
    with pytest.raises(TooManyEvaluationsError, match="8 evaluations are stored of at most 8"):
        report(database, most=8)
    report(database, owner="somebody", most=8)


def test_nobody_teaches_more_datasets_than_others_can_outweigh(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "MOST_DATASETS_PER_OWNER", 2)
    for rows in (100, 200, 300):
        trust(database, report(database, rows=rows))
    found = {each.metafeatures["nr_inst"] for each in lessons(database).datasets}
    assert found == {200, 300}


def test_own_measurements_teach_unless_their_owner_says_no(database: Database) -> None:
    def measure(session: Any) -> None:
        for place, contribute in enumerate((True, False)):
            dataset = dataset_row(
                f"ds_{place}",
                metafeatures={"nr_inst": 100 + place, "nr_class": 2},
                metafeature_version=SCHEMA_VERSION,
                contribute=contribute,
            )
            session.add(dataset)
            session.flush()
            job = jobs.begin_measurement(
                session, owner="local", dataset_id=dataset.id, time_budget_seconds=60,
                configurations=[CONFIGURATIONS[name] for name in NAMES],
            )  # fmt: skip
            ids = session.scalars(select(Task.id).where(Task.job_id == job.id).order_by(Task.id)).all()
            for task_id, name in zip(ids, NAMES, strict=True):
                failed = name == NAMES[3]
                session.add(
                    Evaluation(
                        experiment_id=task_id, owner="local", dataset_id=dataset.id, configuration=name,
                        fingerprint=CONFIGURATIONS[name].fingerprint, protocol=PROTOCOL,
                        status="timeout" if failed else "ok",
                        result={} if failed else {"scores": {"roc_auc": 0.75}},
                    )
                )  # fmt: skip

    write(database, measure)
    [dataset] = lessons(database).datasets
    assert dataset.metafeatures["nr_inst"] == 100
    assert dataset.scores == {**{name: {"roc_auc": 0.75} for name in NAMES[:3]}, NAMES[3]: None}
    write(database, lambda session: session.execute(update(Dataset).values(metafeature_version=0)))
    assert lessons(database).datasets == ()


def test_one_retraining_at_a_time_and_none_without_lessons(database: Database) -> None:
    with pytest.raises(NothingToLearnError):
        begin(database)
    trust(database, report(database))
    job_id = begin(database)
    with pytest.raises(RetrainingUnderWayError) as refused:
        begin(database)
    assert refused.value.evidence == {"job_id": job_id}
    with database.read() as session:
        detail = jobs.detail(session, "local", job_id)
    assert (detail.job.phase, detail.job.dataset_id, detail.experiments) == ("retraining", None, ())
    held = claim(database)
    assert held is not None
    assert held.kind == "retraining"


def test_retraining_whose_task_was_dropped_ends(database: Database) -> None:
    trust(database, report(database))
    job_id = begin(database)
    write(database, lambda session: session.execute(update(Task).values(status="cancelled")))
    assert write(database, lambda session: verification.advance(session, job_id)) is None
    with database.read() as session:
        job = jobs.get(session, "local", job_id)
    assert (job.status, (job.error or {})["code"]) == ("failed", "time_budget_spent")


def test_so_many_new_evaluations_begin_a_retraining_once(database: Database) -> None:
    trust(database, report(database))
    assert not retraining.begin_due(database, 5)
    assert retraining.begin_due(database, 4)
    assert not retraining.begin_due(database, 4)
    write(database, lambda session: session.execute(update(Job).values(status="failed")))
    assert not retraining.begin_due(database, 4)  # nothing is new: what failed would fail again
    report(database, rows=900)
    assert retraining.begin_due(database, 4)
    with database.read() as session:
        assert len(session.scalars(select(Job)).all()) == 2


def test_roll_back_leads_back_step_by_step(database: Database, tmp_path: Path) -> None:
    assert answering(database) is None
    first, second = fit(database, tmp_path, b"one"), fit(database, tmp_path, b"two")
    assert answering(database) == second
    back = []
    for _ in range(2):
        write(database, lambda session: promotions.roll_back(session, CLASSIFICATION))
        back.append(answering(database))
    assert back == [first, None]
    with pytest.raises(NothingToRollBackError):
        write(database, lambda session: promotions.roll_back(session, CLASSIFICATION))
    third = fit(database, tmp_path, b"three")
    assert answering(database) == third
    with database.read() as session:
        said = session.scalars(select(Promotion.because).order_by(Promotion.id)).all()
        assert promotions.current(session, TaskType.REGRESSION) is None
    assert said == ["tested", "tested", "It was rolled back.", "It was rolled back.", "tested"]


def test_what_rests_on_a_removed_report_is_withdrawn(database: Database, tmp_path: Path) -> None:
    kept, removed = report(database), report(database, rows=900)
    trust(database, kept)
    fit(database, tmp_path, b"one", (kept,))
    good = fit(database, tmp_path, b"two", (kept,))
    for content in (b"three", b"four"):
        fit(database, tmp_path, content, (kept, removed))
    write(database, lambda session: reports.remove(session, "local", removed))
    assert answering(database) == good
    with database.read() as session:
        learners = session.scalars(select(MetaLearner).order_by(MetaLearner.id)).all()
        hashes = set(session.scalars(select(Blob.hash)))
    assert [each.withdrawn_at is None for each in learners] == [True, True, False, False]
    assert hashes == {hashlib.sha256(content).hexdigest() for content in (b"one", b"two")}
    trust(database, kept, trusted=False)
    assert answering(database) is None


def test_roll_back_passes_over_what_was_withdrawn(database: Database, tmp_path: Path) -> None:
    doubtful, fine = report(database), fit(database, tmp_path, b"one")
    trust(database, doubtful)
    fit(database, tmp_path, b"two", (doubtful,))
    newest = fit(database, tmp_path, b"three")
    trust(database, doubtful, trusted=False)
    assert answering(database) == newest
    write(database, lambda session: promotions.roll_back(session, CLASSIFICATION))
    assert answering(database) == fine


def test_unknown_source_is_refused(database: Database) -> None:
    with pytest.raises(SourceNotFoundError):
        write(database, lambda session: reports.trust(session, "src_unknown", trusted=True))


def test_how_far_a_retraining_is_can_be_polled(database: Database) -> None:
    trust(database, report(database))
    job_id = begin(database)
    held = claim(database)
    assert held is not None
    told = {"kind": "progress", "phase": "regression, regret", "done": 3, "total": 20}
    write(database, lambda session: tasks.renew(session, held, 10.0, told))
    with database.read() as session:
        assert jobs.detail(session, "local", job_id).step == told
