"""Columns that tell rows apart are recognised, and nothing else is taken for one."""

import hashlib
import uuid

import numpy as np
import pytest

from tests.tables import typed_column

ROWS = range(60)
random = np.random.default_rng(0)


@pytest.mark.parametrize(
    "values",
    [
        list(ROWS),
        [row + 1 for row in ROWS],
        [60 - row for row in ROWS],
        [str(uuid.UUID(int=row * 7919)) for row in ROWS],
        [hashlib.md5(bytes([row])).hexdigest() for row in ROWS],
        [f"customer-{row:04d}" for row in ROWS],
    ],
    ids=["from 0", "from 1", "backwards", "uuids", "hashes", "numbered names"],
)
def test_identifiers_are_left_out_and_reported(values):
    type_, _, findings = typed_column(values)
    assert (type_, [each.code for each in findings]) == ("id", ["id_column"])
    fewer, _, _ = typed_column(values[:48], n_rows=48)
    assert fewer != "id", "in few rows anything may look like an id"


@pytest.mark.parametrize(
    "values",
    [
        [row + 1900 for row in ROWS],
        [2 * row for row in ROWS],
        random.permutation(60).tolist(),
        [float(row) for row in ROWS],
        [row if row != 30 else None for row in ROWS],
        [row if row != 30 else 29 for row in ROWS],
        [f"customer-{row % 59:04d}" for row in ROWS],
        [f"{'ab'[row % 2]}{row}" for row in ROWS],
    ],
    ids=[
        *("years", "even numbers", "shuffled", "floats", "a gap", "a repetition"),
        *("repeated name", "two patterns"),
    ],
)
def test_what_may_be_a_property_of_the_rows_is_kept(values):
    assert typed_column(values)[0] != "id"
