"""Imported by forkservers: makes libraries import what they put off until they first see data, so that no child has to.

Nothing is fitted, for a process that has used OpenMP must not be forked.
"""

import importlib.metadata

import pandas as pd
import pyarrow.dataset  # noqa: F401  what reading Parquet needs
from sklearn.compose import make_column_selector
from sklearn.utils import check_array

importlib.metadata.version("scikit-learn")
_FRAME = pd.DataFrame({"number": [0.0, 1.0], "category": ["a", "b"]})
make_column_selector(dtype_include="number")(_FRAME)
check_array(_FRAME[["number"]])
