"""Idempotency keys on both databases: one claims, answers are kept beside what was created, nothing blocks for ever."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from app.errors import AnswerErasedError, IdempotencyInFlightError, IdempotencyMismatchError
from app.store import datasets, idempotency, metadatasets
from app.store.database import Database, now
from app.store.idempotency import Answer, Held
from app.store.tables import IdempotencyKey, Recommendation
from tests.store.verified import SECRET, age, places, upload
from workers.retention import erase_expired

ANSWER = Answer(202, {"Location": "/jobs/1"}, b'{"said": "Kryptonit"}')
DAY = 86_400.0


def claim(
    database: Database, key: str = "k", fingerprint: str = "f", seconds: float = 30.0, owner: str = "local"
) -> Held | Answer:
    with database.write() as session:
        found = idempotency.claim(session, owner, key, fingerprint, seconds)
        session.commit()
    return found


def record(database: Database, held: Held | Answer, subject_id: str | None = None) -> None:
    """What a request creates is a recommendation here."""
    assert isinstance(held, Held)
    with database.write() as session:
        session.add(Recommendation(id=f"rec_{held.attempt}", owner="local", request={}, body={}))
        idempotency.record(session, held, ANSWER, subject_id)
        session.commit()


def let_pass(database: Database, seconds: float) -> None:
    with database.write() as session:
        later = IdempotencyKey.expires_at - seconds
        session.execute(update(IdempotencyKey).values(expires_at=later))
        session.commit()


def created(database: Database) -> int:
    with database.read() as session:
        return session.scalars(select(func.count()).select_from(Recommendation)).one()


def kept(database: Database) -> int:
    with database.read() as session:
        return session.scalars(select(func.count()).select_from(IdempotencyKey)).one()


def test_answer_comes_back_byte_by_byte(database: Database) -> None:
    record(database, claim(database))
    assert claim(database) == ANSWER


def test_key_is_in_flight_until_its_answer_is_there(database: Database) -> None:
    held = claim(database)
    with pytest.raises(IdempotencyInFlightError):
        claim(database)
    record(database, held)
    assert isinstance(claim(database), Answer)


@pytest.mark.requirement("R11")
def test_another_request_with_the_key_is_refused_in_flight_and_after(database: Database) -> None:
    held = claim(database)
    with pytest.raises(IdempotencyMismatchError):
        claim(database, fingerprint="another")
    record(database, held)
    with pytest.raises(IdempotencyMismatchError):
        claim(database, fingerprint="another")


def test_keys_belong_to_their_owner(database: Database) -> None:
    record(database, claim(database))
    assert isinstance(claim(database, owner="somebody else"), Held)


@pytest.mark.requirement("R11")
@pytest.mark.parametrize("round_", range(3))
def test_of_many_at_once_one_claims(database: Database, round_: int) -> None:
    together = threading.Barrier(16)

    def ask(_: int) -> bool:
        together.wait()
        try:
            return isinstance(claim(database), Held)
        except IdempotencyInFlightError:
            return False

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(ask, range(16))) == 1


def test_claim_of_a_dead_process_ends_by_itself_for_one_repeat(database: Database) -> None:
    claim(database)
    let_pass(database, 31.0)
    assert isinstance(claim(database), Held)
    with pytest.raises(IdempotencyInFlightError):
        claim(database)


def test_request_that_was_overtaken_by_its_repeat_creates_nothing(database: Database) -> None:
    slow = claim(database)
    let_pass(database, 31.0)
    repeat = claim(database)
    with pytest.raises(IdempotencyInFlightError):
        record(database, slow)
    record(database, repeat)
    with pytest.raises(IdempotencyInFlightError):
        record(database, slow)
    assert created(database) == 1


def test_slow_request_that_nobody_repeated_may_still_finish(database: Database) -> None:
    slow = claim(database)
    let_pass(database, 1000.0)
    erase_expired(database, 0)
    record(database, slow)
    assert claim(database) == ANSWER


@pytest.mark.requirement("R11")
def test_answer_and_what_was_created_are_there_together_or_not_at_all(database: Database) -> None:
    held = claim(database)
    with database.write() as session:
        session.add(Recommendation(id="rec", owner="local", request={}, body={}))
        idempotency.record(session, held, ANSWER, None)
        session.flush()  # and here the process dies
    assert created(database) == 0
    with pytest.raises(IdempotencyInFlightError):
        claim(database)


def test_released_key_is_free_at_once_but_an_answered_one_stays(database: Database) -> None:
    for _ in range(2):
        held = claim(database)
        with database.write() as session:
            idempotency.release(session, held)
            session.commit()
    held = claim(database)
    record(database, held)
    with database.write() as session:
        idempotency.release(session, held)
        session.commit()
    assert claim(database) == ANSWER


@pytest.mark.requirement("R11")
def test_answers_are_kept_for_a_day_and_then_removed(database: Database) -> None:
    record(database, claim(database))
    let_pass(database, DAY - 60)
    erase_expired(database, 30.0)
    assert claim(database) == ANSWER
    let_pass(database, 120)
    erase_expired(database, 0)  # datasets may be kept for ever, keys are not
    assert kept(database) == 0
    assert isinstance(claim(database), Held)


def test_expired_answer_is_not_replayed_though_nothing_has_removed_it(database: Database) -> None:
    record(database, claim(database))
    let_pass(database, DAY + 1)
    assert isinstance(claim(database, fingerprint="another"), Held)


def test_claims_that_nobody_came_back_for_are_removed(database: Database) -> None:
    claim(database)
    let_pass(database, 4000.0)
    erase_expired(database, 30.0)
    assert kept(database) == 0


@pytest.mark.parametrize("contribute", [True, False])
@pytest.mark.parametrize("expires", [True, False])
def test_answer_goes_with_the_dataset_that_it_quotes_and_its_key_stays_used(
    database: Database, tmp_path: Path, contribute: bool, expires: bool
) -> None:
    dataset_id = upload(database, tmp_path, contribute=contribute)
    record(database, claim(database, key=f"upload of {SECRET}"), subject_id=dataset_id)
    assert "idempotency_keys.body" in places(database, SECRET)
    if expires:
        age(database, dataset_id, 31)
        erase_expired(database, 30.0)
    else:
        with database.write() as session:
            datasets.delete(session, "local", dataset_id)
            session.commit()
    assert places(database, SECRET) == set()
    for fingerprint in ("f", "another"):
        with pytest.raises(AnswerErasedError):
            claim(database, key=f"upload of {SECRET}", fingerprint=fingerprint)
    with database.read() as session:
        row = session.scalars(select(IdempotencyKey)).one()
        assert (row.fingerprint, row.subject_id) == ("", None)
        assert row.expires_at > session.scalars(select(now())).one()


def test_answer_goes_with_the_meta_dataset_that_it_quotes(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "learned"
    path.write_bytes(b"learned")
    with database.write() as session:
        found = metadatasets.record(session, owner="local", name="mine", path=path, summary={})
        session.commit()
    record(database, claim(database), subject_id=found.id)
    with database.write() as session:
        metadatasets.delete(session, "local", "mine")
        session.commit()
    assert places(database, SECRET) == set()
    with pytest.raises(AnswerErasedError):
        claim(database)
