"""Hostile files end in a table or in a refusal, in limited children, and fast; see benchmarks/hostile.py for more."""

import contextlib
import re

import pytest

from app import isolation
from app.errors import ServiceError, UnusableDatasetError, _all_kinds
from app.metalearning.reading import arff
from app.metalearning.reading.limits import ReadingLimits
from tests.hostile_files import crafted
from tests.hostile_mutations import SEEDS, mutated
from tests.hostile_reading import CPU_SECONDS, Reading, pathological, read_all

# pyarrow imports pandas, where it is installed, with the first array that it makes of a list.
isolation.preload("tests.hostile_reading", "pandas")
FINE = {"table"} | {kind.code for kind in _all_kinds(ServiceError) if 400 <= kind.status < 500}


@pytest.fixture(scope="module")
def of_crafted(tmp_path_factory) -> dict[str, Reading]:
    files = ((name, make()) for name, make in crafted().items())
    return {reading.name: reading for reading in read_all(files, tmp_path_factory.mktemp("crafted"))}


def test_every_crafted_file_is_read_or_refused(of_crafted):
    assert len(of_crafted) == len(crafted()) >= 150
    assert [each for each in of_crafted.values() if each.ending not in FINE] == []


def test_no_crafted_file_takes_long(of_crafted):
    assert [each for each in of_crafted.values() if each.cpu_seconds > CPU_SECONDS / 2] == []


@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        ("bomb", "dataset_too_large"),
        ("pickle [2-5]", "unreadable_file"),
        ("^csv/open quote", "unreadable_file"),
    ],
)
def test_the_worst_are_refused_for_what_they_are(of_crafted, kind, ending):
    assert {each.ending for name, each in of_crafted.items() if re.search(kind, name)} == {ending}


def test_mutated_files_are_read_or_refused(tmp_path):
    readings = read_all(mutated(300, seed=1), tmp_path)
    assert len(readings) == 300
    assert [each for each in readings if each.ending not in FINE] == []
    assert {each.ending for each in readings} >= {"table", "unreadable_file", "ragged_rows"}


def test_seeds_of_the_mutations_are_read(tmp_path):
    readings = read_all(SEEDS.items(), tmp_path)
    assert [each for each in readings if each.ending != "table"] == []


def test_child_that_dies_is_told_by_the_name_of_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.hostile_reading.FUNCTION", "tests.hostile_reading:die_on_the_second")
    readings = read_all([("one", b""), ("two", b""), ("three", b"")], tmp_path)
    assert [(each.name, each.ending) for each in readings] == [
        ("one", "table"),
        ("two", "child: crash"),
        ("three", "table"),
    ]


@pytest.mark.parametrize("name", list(pathological(1)))
def test_arff_lines_that_cost_others_seconds_are_looked_at_once(name, monkeypatch):
    """Four times the line costs four times the looks at a character."""
    few, many = (looks(pathological(size)[name], monkeypatch) for size in (500, 2_000))
    assert few > 100
    assert many <= 4.1 * few


def looks(content: bytes, monkeypatch) -> int:
    """How many characters the ARFF reader looks at, one by one, until it has read or refused the file."""

    class Watched(str):
        count = 0
        __slots__ = ()

        def __getitem__(self, index):
            Watched.count += 1 if isinstance(index, int) else len(range(*index.indices(len(self)))) // 64 + 1
            part = str.__getitem__(self, index)
            return part if isinstance(index, int) else Watched(part)

        def strip(self, *chars):
            Watched.count += 1
            return Watched(str.strip(self, *chars))

    def watched_lines(text: bytes):
        for number, line in enumerate(text.decode().splitlines(), start=1):
            yield number, Watched(line)

    monkeypatch.setattr(arff, "_meaningful_lines", watched_lines)
    with contextlib.suppress(UnusableDatasetError):
        arff.read_arff(content, ReadingLimits())
    return Watched.count
