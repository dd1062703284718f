"""Parquet, batch by batch: footers and page headers lie, and dictionaries can hide terabytes in kilobytes."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from app.errors import TooLargeDatasetError, UnreadableFileError
from app.metalearning.reading.formats import Format
from app.metalearning.reading.limits import ReadingLimits, is_bytes
from app.metalearning.reading.rawtable import RawTable, distinct_names, first_line

_DEEPEST_SCHEMA = 100
_BATCH_CELLS = 1 << 21
_BATCH_ROWS = 1 << 16


def read_parquet(content: bytes, compression: str | None, limits: ReadingLimits) -> RawTable:
    """Read a Parquet file.

    Raises: UnreadableFileError, UnreadableEncodingError, TooLargeDatasetError.
    """
    try:
        frame = _decode(content, limits)
        frame.validate(full=True)  # strings that are no UTF-8, among others
    except MemoryError:  # Arrow's own is an ArrowException too
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise UnreadableFileError(
            f"The Parquet file is damaged: {first_line(error)}.", "Write the file again and send it."
        ) from error
    names, renamed = distinct_names(frame.column_names)
    return RawTable(frame.rename_columns(names), Format.PARQUET, compression, renamed_columns=renamed)


def _decode(content: bytes, limits: ReadingLimits) -> pa.Table:
    file = _open(content, ())
    limits.check_rows(file.metadata.num_rows)
    limits.check_columns(file.metadata.num_columns)
    kinds = file.schema_arrow
    for kind in kinds.types:
        if pa.types.is_fixed_size_binary(kind) and kind.byte_width > limits.cell_bytes:
            raise TooLargeDatasetError("A column's values are too wide.", "Leave out binary columns.")
    # Strings stay what they are on disk, codes and a dictionary, until their decoded size has been counted.
    strings = tuple(field.name for field in kinds if is_bytes(field.type))
    file = _open(content, strings)
    batches, rows, size = [], 0, 0
    batch_rows = max(1, min(_BATCH_ROWS, _BATCH_CELLS // max(1, file.metadata.num_columns)))
    for batch in file.iter_batches(batch_rows, use_threads=False):
        rows += batch.num_rows
        limits.check_rows(rows)  # the footer's count can lie
        columns = []
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            size += _decoded_bytes(column, name, limits)
            limits.check_size(size)
            columns.append(_dense(column))
        batches.append(pa.RecordBatch.from_arrays(columns, names=batch.schema.names))
    return pa.Table.from_batches(batches) if batches else kinds.empty_table()


def _open(content: bytes, dictionaries: tuple[str, ...]) -> pa.parquet.ParquetFile:
    return pa.parquet.ParquetFile(
        pa.BufferReader(content),
        read_dictionary=list(dictionaries),
        pre_buffer=False,
        schema_depth_limit=_DEEPEST_SCHEMA,
        page_checksum_verification=True,
    )


def _decoded_bytes(column: pa.Array, name: str, limits: ReadingLimits) -> int:
    """What the column will take when its dictionary is gone."""
    if not _is_coded(column):
        return int(column.nbytes)
    column.validate(full=True)  # codes beyond the dictionary would be read from foreign memory
    limits.check_cells(column.dictionary, name)
    lengths = pc.binary_length(column.dictionary).take(column.indices)
    return int(pc.sum(lengths).as_py() or 0) + 4 * len(column)


def _dense(column: pa.Array) -> pa.Array:
    return pc.cast(column, column.type.value_type) if _is_coded(column) else column


def _is_coded(column: pa.Array) -> bool:
    return bool(pa.types.is_dictionary(column.type)) and is_bytes(column.type.value_type)
