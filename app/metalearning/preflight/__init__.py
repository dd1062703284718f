"""What is wrong or odd about a typed dataset, before anything runs on it.

Nothing here compares every column or row with every other: duplicates are found by hashes, and columns are examined on a
sample of the rows where there are many.
"""

import numpy as np

from app.metalearning.findings import Finding, condensed
from app.metalearning.preflight import columns, copies, duplicates, order, target
from app.metalearning.preflight.examined import Examined, examine
from app.metalearning.protocol import SEED
from app.metalearning.table import Table

MOST_ROWS = 50_000

__all__ = ["MOST_ROWS", "Examined", "inspect"]


def inspect(table: Table) -> tuple[Finding, ...]:
    """All findings about a dataset that can be learned from."""
    sample = table
    if table.n_rows > MOST_ROWS:
        rows = np.random.default_rng(SEED).choice(table.n_rows, MOST_ROWS, replace=False)
        sample = table.take(np.sort(rows))
    examined = examine(sample)
    return condensed(
        [
            *target.inspect(table),
            *columns.inspect(examined, table.n_rows),
            *duplicates.inspect(examined, sample),
            *copies.inspect(examined, sample),
            *order.inspect(examined, sample),
        ]
    )
