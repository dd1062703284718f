"""Columns that tell rows apart and nothing else: recognised only where every value is present and different."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# In fewer rows a quantity may look like a count by chance.
FEWEST_ROWS = 50
_NAME = re.compile(
    r"(^|[\s_.\-#])(id|ids|idx|index|key|uuid|guid|row|nr|no|number|rowid|rownames|record|serial)$|^unnamed|^#$",
    re.IGNORECASE,
)
_CAMEL_NAME = re.compile(r"[a-z](Id|ID|Index|Key|No|Nr)$")
_UNIQUE_SHAPES = (
    r"^\{?[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}\}?$",
    r"^(0x)?[0-9a-fA-F]{16,128}$",
)


def is_named_like_id(name: str) -> bool:
    """Whether a column's name ends like that of an identifier."""
    return bool(_NAME.search(name.strip()) or _CAMEL_NAME.search(name.strip()))


def are_counting_integers(column: pa.ChunkedArray, name: str) -> bool:
    """Whether integers count the rows: by one from 0 or 1, or rising or falling throughout under an id's name."""
    if not pa.types.is_integer(column.type) or len(column) < FEWEST_ROWS or column.null_count:
        return False
    first, second = column[0].as_py(), column[1].as_py()
    last = column[-1].as_py()
    if first == second or (first < second) != (first < last):
        return False
    steps = np.diff(column.to_numpy().astype(np.float64))
    if is_named_like_id(name):
        return bool(np.all(steps > 0) or np.all(steps < 0))
    return min(first, last) in (0, 1) and bool(np.all(steps == 1) or np.all(steps == -1))


def are_unique_codes(distinct: pa.Array, n_rows: int) -> bool:
    """Whether strings, all different, have the shape of hashes or of one pattern with running digits."""
    if n_rows < FEWEST_ROWS or len(distinct) < n_rows:
        return False
    if any(_all_match(distinct, shape) for shape in _UNIQUE_SHAPES):
        return True
    shapes = pc.unique(pc.replace_substring_regex(distinct, r"[0-9]+", "9"))
    return len(shapes) == 1 and "9" in shapes[0].as_py()


def _all_match(texts: pa.Array, pattern: str) -> bool:
    return (
        bool(re.match(pattern, texts[0].as_py())) and pc.all(pc.match_substring_regex(texts, pattern)).as_py()
    )
