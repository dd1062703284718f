"""Columns as preflight looks at them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from app.metalearning.table import MISSING_CODE, NUMBER_LIKE, ColumnType, FloatArray, Table


@dataclass(frozen=True)
class Examined:
    """A feature column as numbers, shape (rows,): the codes of categories, NaN where missing."""

    name: str
    type: ColumnType
    values: FloatArray

    @property
    def is_number_like(self) -> bool:
        """Whether the order of the values means something."""
        return self.type in NUMBER_LIKE

    @cached_property
    def present(self) -> FloatArray:
        """The values that are not missing."""
        return self.values[~np.isnan(self.values)]


def examine(table: Table) -> list[Examined]:
    """The feature columns of a table, negative zeros made positive."""
    examined = []
    for column in table.columns:
        if column.type in NUMBER_LIKE:
            values = table.floats(column.name) + 0.0
        else:
            codes = table.codes(column.name)
            values = np.where(codes == MISSING_CODE, np.nan, codes)
        examined.append(Examined(column.name, column.type, values))
    return examined
