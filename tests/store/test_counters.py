"""Counters on both databases: nothing is lost between those who add at once, and nobody waits for ever."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.failpoints import Step
from app.store import counters
from app.store.counters import Counted, Counts
from app.store.database import Database, commit
from workers.counting import Tally

THINGS = [
    (Counted.ATTEMPTS, kind, ending) for kind in ("experiment", "stacking") for ending in ("ok", "error")
]


def add(database: Database, counts: Counts) -> None:
    with database.write() as session:
        counters.add(session, counts)
        commit(session, Step.RECONCILE)


def totals(database: Database) -> dict[tuple[str, ...], float]:
    with database.read() as session:
        return counters.totals(session)


def test_many_who_add_at_once_lose_nothing(database: Database) -> None:
    def add_some(seed: int) -> Counts:
        chance, all_of_them = random.Random(seed), Counts()
        for _ in range(15):
            things = chance.sample(THINGS, chance.randint(1, len(THINGS)))  # in any order
            counts = Counts({thing: chance.randint(1, 3) for thing in things})
            add(database, counts)
            all_of_them += counts
        return all_of_them

    with ThreadPoolExecutor(8) as pool:
        expected = sum(pool.map(add_some, range(8)), Counts())
    assert totals(database) == expected


def test_what_is_rolled_back_is_not_counted(database: Database) -> None:
    with database.write() as session:
        counters.add(session, Counts([(Counted.LEASE_LOSSES, "taken_back")]))
        session.rollback()
    add(database, Counts())
    assert totals(database) == {}


def test_tally_keeps_what_could_not_be_added() -> None:
    tally = Tally()
    tally.note(Counted.LEASE_LOSSES, "taken_back")
    with pytest.raises(ConnectionError), tally.taken():
        raise ConnectionError
    with tally.taken() as counts:
        assert counts == {(Counted.LEASE_LOSSES, "taken_back"): 1}
    with tally.taken() as counts:
        assert not counts
