"""Ids sort as they were made, however fast, and whichever thread asked."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

from app.store import ids
from app.store.ids import new_id


def test_ids_of_one_instant_sort_as_they_were_made(monkeypatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_800_000_000_000_000_000)
    made = [new_id("job") for _ in range(10_000)]
    assert made == sorted(set(made))


def test_a_clock_that_is_set_back_does_not_change_the_order(monkeypatch) -> None:
    before = new_id("job")
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    assert new_id("job") > before


def test_threads_get_different_ids() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_id("task"), range(5_000)))
    assert len(set(made)) == 5_000
    assert all(re.fullmatch(r"task_[0-9a-f]{24}", each) for each in made)


def test_ids_begin_with_the_milliseconds_since_1970(monkeypatch) -> None:
    monkeypatch.setattr(ids, "_last_tick", 0)
    monkeypatch.setattr(time, "time_ns", lambda: 0x0123456789AB * 1_000_000 + 500_000)
    assert new_id("job").startswith("job_0123456789ab800")
