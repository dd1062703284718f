"""Reports, trust, what there is to learn from, and which meta-learners answer: on both databases."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from app.errors import (
    NothingToRollBackError,
    ReportNotFoundError,
    SourceNotFoundError,
    TooManyEvaluationsError,
)
from app.following import Following
from app.metalearning import knowledge
from app.metalearning.knowledge import shipped_report, shipped_version
from app.metalearning.metafeatures import SCHEMA_VERSION
from app.metalearning.portfolio import CONFIGURATIONS
from app.metalearning.protocol import PROTOCOL
from app.metalearning.table import TaskType
from app.store import beginning, blobs, learning, promotions, reports
from app.store.database import Database
from app.store.tables import (
    Blob,
    Dataset,
    Evaluation,
    Job,
    MetaLearner,
    Promotion,
    Task,
)
from tests.store.rows import dataset_row
from tests.store.test_claiming import write

CLASSIFICATION = TaskType.CLASSIFICATION
NAMES = shipped_report(CLASSIFICATION)["configurations"][:4]
DESCRIBED = {"nr_attr": 4, "nr_class": 2, "nr_num": 4, "nr_cat": 0, "cat_share": 0.0, "missing_share": 0.0}


def report(
    database: Database,
    source: str = "lab",
    rows: int = 500,
    owner: str = "local",
    names: Any = NAMES,
    most: int = 99,
    described: Any = DESCRIBED,
) -> str:
    known = {"metafeatures": {"nr_inst": rows, **described}, "target_sd": None}
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


def fit(
    database: Database,
    folder: Path,
    content: bytes,
    resting_on: tuple[str, ...] = (),
    shipped: str | None = None,
) -> str:
    """Meta-learners as if a retraining had fitted and promoted them."""
    (folder / "knowledge").write_bytes(content)

    def record(session: Any) -> str:
        job = Job(
            id=f"job_{hashlib.sha256(content).hexdigest()[:12]}", owner="local", kind="retraining", status="succeeded", phase="done",
            request={"task_type": "classification", "evaluations": 0}, time_budget_seconds=1,
        )  # fmt: skip
        session.add(job)
        session.flush()
        learner = promotions.record(
            session, task_type="classification", job_id=job.id, snapshot="", n_datasets=1,
            shipped=shipped_version() if shipped is None else shipped,
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
    assert [len(each.scores) for each in lessons(database).datasets] == [4]


def test_neither_scores_of_what_nobody_knows_nor_a_hardly_described_dataset_are_lessons(
    database: Database,
) -> None:
    """Configurations without evidence cannot be compared with the others."""
    known = shipped_report(CLASSIFICATION)["configurations"]
    unknown = [name for name in CONFIGURATIONS if name.startswith("clf-") and name not in known]
    trust(database, report(database, names=[*unknown[:3], *NAMES[:2]]))
    report(database, rows=900, described={"nr_class": 2})
    assert lessons(database).datasets == ()
    assert lessons(database).reports == ()


def test_only_reports_that_said_something_are_rested_on(database: Database) -> None:
    """Else whoever removes an idle one would have what others taught withdrawn."""
    older = report(database)
    trust(database, older)
    newer = report(database, names=NAMES[:3])  # the same dataset: only the fourth score is left to the older
    found = lessons(database)
    assert set(found.reports) == {older, newer}
    repeated = report(database)
    idle = report(database, rows=900, names=NAMES[:2])
    assert set(lessons(database).reports) == {repeated}
    write(database, lambda session: reports.remove(session, "local", idle))
    assert set(lessons(database).reports) == {repeated}
    with database.read() as session:
        assert learning.trusted_reports(session, CLASSIFICATION) == {older, newer, repeated}


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
    assert taught(database) == {200, 300}
    dataset_id = measured(database, "ds_measured", rows=50)
    assert taught(database) == {50, 300}
    report(database, rows=400)
    assert taught(database) == {50, 400}
    write(
        database,
        lambda session: session.execute(
            update(Evaluation).where(Evaluation.dataset_id == dataset_id).values(created_at=0.0)
        ),
    )
    assert taught(database) == {300, 400}


def taught(database: Database) -> set[float | None]:
    return {each.metafeatures["nr_inst"] for each in lessons(database).datasets}


def measured(database: Database, dataset_id: str, rows: int, *, contribute: bool = True) -> str:
    """A dataset on which three configurations were measured and one failed."""

    def measure(session: Any) -> None:
        dataset = dataset_row(
            dataset_id,
            metafeatures={"nr_inst": rows, **DESCRIBED},
            metafeature_version=SCHEMA_VERSION,
            contribute=contribute,
        )
        session.add(dataset)
        session.flush()
        job = beginning.measurement(
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
    return dataset_id


def test_own_measurements_teach_unless_their_owner_says_no(database: Database) -> None:
    measured(database, "ds_0", rows=100)
    measured(database, "ds_1", rows=101, contribute=False)
    [dataset] = lessons(database).datasets
    assert dataset.metafeatures["nr_inst"] == 100
    assert dataset.scores == {**{name: {"roc_auc": 0.75} for name in NAMES[:3]}, NAMES[3]: None}
    write(database, lambda session: session.execute(update(Dataset).values(metafeature_version=0)))
    assert lessons(database).datasets == ()


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


def test_what_was_fitted_beside_other_evidence_answers_no_more(database: Database, tmp_path: Path) -> None:
    """An upgrade ships another meta-dataset: what answered is none that anything can be rolled back to or from."""
    outdated = fit(database, tmp_path, b"one", shipped="another")
    assert answering(database) is None
    with pytest.raises(NothingToRollBackError):
        write(database, lambda session: promotions.roll_back(session, CLASSIFICATION))
    newest = fit(database, tmp_path, b"two")
    assert answering(database) == newest != outdated
    write(database, lambda session: promotions.roll_back(session, CLASSIFICATION))
    assert answering(database) is None


def test_the_databases_clock_says_what_is_newest(database: Database, tmp_path: Path) -> None:
    """Ids follow the clocks of hosts, and those may be minutes apart."""
    older, newer = fit(database, tmp_path, b"one"), fit(database, tmp_path, b"two")

    def turn_ids_around(session: Any) -> None:
        ahead = select(Promotion).where(Promotion.meta_learner_id == newer)
        promotion = session.scalars(ahead).one()
        session.execute(update(Promotion).where(Promotion.id == promotion.id).values(id="pro_000"))

    assert answering(database) == newer != older
    write(database, turn_ids_around)
    assert answering(database) == newer


def test_a_source_that_nobody_trusts_goes_with_its_last_report(database: Database) -> None:
    trusted, doubtful = report(database), report(database, source="attic")
    trust(database, trusted)
    for each in (trusted, doubtful):
        write(database, lambda session, each=each: reports.remove(session, "local", each))
    with database.read() as session:
        assert [source.name for source, _ in reports.sources(session, 10, None)] == ["lab"]


def test_what_cannot_be_read_any_more_does_not_answer(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither another version's format nor rubbish: what ships answers, or goes on answering, and so do others."""
    following = Following(database)
    shipped = following[CLASSIFICATION]
    with monkeypatch.context() as patched:
        patched.setattr(knowledge, "FORMAT", knowledge.FORMAT + 1)
        content = knowledge.dump(shipped.evidence, shipped.trained, shipped.report)
    fit(database, tmp_path, content)
    with database.read() as session:
        assert following.promoted.now(session, CLASSIFICATION) is shipped
        version = knowledge.version_of(hashlib.sha256(content).hexdigest())
        assert following.promoted.of_version(session, CLASSIFICATION, version) is None
    readable = knowledge.dump(shipped.evidence, shipped.trained, shipped.report | {"default": "forest"})
    fit(database, tmp_path, readable)
    following.look()
    assert following[CLASSIFICATION].report["default"] == "forest"
    fit(database, tmp_path, b"rubbish")
    following.look()
    assert following[CLASSIFICATION].report["default"] == "forest"
    assert following[TaskType.REGRESSION] is following.promoted.shipped[TaskType.REGRESSION]
