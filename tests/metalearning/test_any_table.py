"""Whatever table comes: a description with finite numbers, or a refusal with a code and what to do."""

import json
import math

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from app.errors import UnusableDatasetError
from app.metalearning.columns import Declaration
from app.metalearning.description import describe_frame
from app.metalearning.metafeatures import as_vector
from app.metalearning.table import TaskType
from tests.tables import quick

NUMBERS = st.one_of(
    st.none(),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1.0, math.inf, -math.inf, math.nan, 1e308, 5e-324, 2.0**53 + 2]),
)
STRINGS = st.one_of(
    st.none(),
    st.sampled_from(["", " ", "a", "b", "1", "1,5", "0x", "é", "2020-01-02", "NaN"]),
    st.text(max_size=5),
)
CELLS = {
    pa.float64(): NUMBERS,
    pa.int64(): st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(0, 3)),
    pa.bool_(): st.one_of(st.none(), st.booleans()),
    pa.string(): STRINGS.filter(lambda text: text is None or _is_unicode(text)),
    pa.timestamp("us"): st.one_of(st.none(), st.datetimes()),
    pa.null(): st.none(),
}


def _is_unicode(text: str) -> bool:
    """Whether no half of a surrogate pair stands alone: Arrow has no such strings."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


@st.composite
def columns(draw: st.DrawFn, n_rows: int) -> pa.Array:
    """A column of any type: as many different values as drawn, often one or a few, repeated over the rows."""
    kind = draw(st.sampled_from(list(CELLS)))
    values = draw(st.lists(CELLS[kind], min_size=1, max_size=12))
    repeated = [values[index % len(values)] for index in range(n_rows)]
    return pa.array(draw(st.permutations(repeated)) if draw(st.booleans()) else repeated, kind)


@st.composite
def frames(draw: st.DrawFn) -> pa.Table:
    """Up to six columns, some twice, and the target `y`."""
    n_rows = draw(st.sampled_from([1, 19, 20, 33, 60]))
    drawn = draw(st.lists(columns(n_rows), min_size=0, max_size=5))
    drawn += drawn[:1] * draw(st.integers(0, 1))
    names = [f"x{index}" for index in range(len(drawn))]
    return pa.table([*drawn, draw(columns(n_rows))], names=[*names, "y"])


@quick
@given(frames(), st.sampled_from([None, *TaskType]))
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
def test_every_table_has_finite_metafeatures_or_a_coded_refusal(frame, task_type):
    refusal: UnusableDatasetError | None = None
    try:
        table, facts = describe_frame(frame, Declaration("y", task_type), 0.1)
    except UnusableDatasetError as error:
        refusal = error
    if refusal is not None:
        assert (refusal.status, bool(refusal.advice)) == (422, True)
        return
    json.dumps(facts, allow_nan=False)
    assert np.isfinite(
        as_vector(facts["metafeatures"], table.task_type)[0]
    )  # raises where a value is out of its range
    assert table.n_rows >= 20
    assert facts["metafeatures"]["nr_attr"] == len(table.columns)
