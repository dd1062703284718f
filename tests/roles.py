"""Groups and times for tests."""

import dataclasses
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa

from app.metalearning.table import Table
from tests.tables import targets


def with_roles(table: Table, groups: Any = None, times: Any = None) -> Table:
    """The table with a group and a time column, as the typing of columns leaves it."""
    frame = table.frame
    if groups is not None:
        frame = frame.add_column(0, "shop", pa.array([f"shop {code}" for code in groups]))
    if times is not None:
        frame = frame.add_column(0, "day", pa.array(times, pa.float64()))
    return dataclasses.replace(
        table,
        frame=frame,
        group=None if groups is None else "shop",
        time=None if times is None else "day",
    )


@st.composite
def grouped(draw, most_groups=30):
    """A target, and groups of which there are at least two."""
    target = draw(targets())
    seed, n_groups = draw(st.integers(0, 99)), draw(st.integers(2, most_groups))
    random = np.random.default_rng(seed)
    codes = random.choice(n_groups, len(target), p=random.dirichlet(np.full(n_groups, 0.5)))
    codes[:2] = 0, 1
    return target, codes


@st.composite
def timed(draw):
    """A target, groups of which there are at least two, and whole times of which at least two differ."""
    target, codes = draw(grouped())
    random = np.random.default_rng(draw(st.integers(0, 99)))
    times = random.integers(0, draw(st.integers(1, 300)), len(target), endpoint=True).astype(float)
    if draw(st.booleans()):  # groups that live one after the other
        times += codes * 50
    times[-2:] = times.min(), times.min() + 1
    return target, codes, times
