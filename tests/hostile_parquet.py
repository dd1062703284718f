"""Parquet files made to hurt."""

import io
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.parquet

Maker = Callable[[], bytes]


def crafted_parquet() -> dict[str, Maker]:
    """Footers that lie, bodies that are damaged, values that multiply, types that nobody expects."""
    whole = as_parquet()
    size = int.from_bytes(whole[-8:-4], "little")
    body, footer = whole[: -8 - size], whole[-8 - size : -8]
    rows = as_parquet(pa.table({"n": range(4321), "y": ["xy"[n % 2] for n in range(4321)]}))

    def with_footer(changed: bytes, length: int | None = None) -> bytes:
        return body + changed + (len(changed) if length is None else length).to_bytes(4, "little") + b"PAR1"

    made = {
        "parquet/mark only": b"PAR1",
        "parquet/two marks": b"PAR1PAR1",
        "parquet/no footer": b"PAR1" + bytes(4) + b"PAR1",
        "parquet/footer of 4 GB": with_footer(footer, 0xFFFFFFFF),
        "parquet/footer of 2 GB": with_footer(footer, 0x7FFFFFFF),
        "parquet/footer longer than the file": with_footer(footer, len(whole)),
        "parquet/footer too short": with_footer(footer, 7),
        "parquet/footer of ones": with_footer(b"\xff" * size),
        "parquet/footer of deep lists": with_footer(b"\x19\xf9\xff\xff\xff\xff\x0f" * 10_000),
        "parquet/footer of deep structures": with_footer(b"\x1c" * 100_000),
        "parquet/no schema": as_parquet(pa.table({})),
        "parquet/no rows": as_parquet(pa.table({"y": pa.array([], pa.string())})),
        "parquet/encrypted": whole[:-4] + b"PARE",
        **{f"parquet/cut at {at}": whole[:at] for at in range(8, len(whole), len(whole) // 12)},
        **{
            f"parquet/zeros at {at}": whole[:at] + bytes(8) + whole[at + 8 :]
            for at in range(4, len(whole), 48)
        },
        **{
            f"parquet/{count} rows claimed": _claim(rows, count)
            for count in (0, 4320, 4322, 2**31, 2**40, 2**62)
        },
    }
    huge: dict[str, Maker] = {
        "parquet/dictionary bomb": lambda: as_parquet(pa.table({"x": _repeated("x" * 90_000, 100_000)})),
        "parquet/long cells": lambda: as_parquet(pa.table({"x": _repeated("x" * 5_000_000, 1_000)}), compression="zstd"),
        "parquet/run-length bomb": lambda: as_parquet(pa.table({"x": np.zeros(6_000_000, dtype=np.int8)})),
        "parquet/5 MB of one value": lambda: as_parquet(pa.table({"x": np.ones(1_000_000)}), compression="zstd"),
        "parquet/nulls": lambda: as_parquet(pa.table({"x": pa.nulls(1_000_000), "y": pa.nulls(1_000_000, pa.int32())})),
        "parquet/10,001 columns": lambda: as_parquet(pa.table({f"c{n}": [1] for n in range(10_001)})),
        "parquet/wide bytes": lambda: as_parquet(pa.table({"x": pa.nulls(9, pa.binary(1 << 20))})),
        "parquet/deep lists": lambda: as_parquet(pa.table({"x": pa.nulls(3, _nested(60))})),
        "parquet/deeper lists": lambda: as_parquet(pa.table({"x": pa.nulls(3, _nested(150))})),
        **{f"parquet/of {kind}": lambda kind=kind: as_parquet(_odd(kind)) for kind in _ODD},
    }  # fmt: skip
    return {**kept(made), **huge}


def as_parquet(frame: pa.Table | None = None, **options: object) -> bytes:
    """A Parquet file, by default of the same table as the others."""
    if frame is None:
        rows = range(40)
        frame = pa.table(
            {
                "n": list(rows),
                "f": [None if n % 5 == 0 else n / 7 for n in rows],
                "c": ["abc"[n % 3] for n in rows],
                "y": ["xy"[n % 2] for n in rows],
            }
        )
    sink = io.BytesIO()
    pa.parquet.write_table(frame, sink, **options)
    return sink.getvalue()


def kept(made: dict[str, bytes]) -> dict[str, Maker]:
    """Makers of what is made already."""
    return {name: lambda content=content: content for name, content in made.items()}


_ODD = (
    pa.binary(), pa.binary(3), pa.large_string(), pa.string_view(), pa.float16(), pa.decimal128(38, 10),
    pa.decimal256(76, 0), pa.date32(), pa.date64(), pa.time32("ms"), pa.time64("ns"), pa.timestamp("ns", "Asia/Tokyo"),
    pa.duration("us"), pa.list_(pa.int8()), pa.struct([("a", pa.int8())]), pa.map_(pa.string(), pa.int8()),
    pa.dictionary(pa.int8(), pa.int64()), pa.uint64(), pa.bool_(), pa.null(),
)  # fmt: skip


def _odd(kind: pa.DataType) -> pa.Table:
    return pa.table({"x": pa.nulls(40, kind), "y": ["x", "y"] * 20, "n": range(40)})


def _nested(depth: int) -> pa.DataType:
    kind = pa.int8()
    for _ in range(depth):
        kind = pa.list_(kind)
    return kind


def _repeated(text: str, times: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(times, dtype=np.int32)), [text])


def _claim(content: bytes, rows: int) -> bytes:
    """A Parquet file of 4,321 rows that claims another number everywhere in its footer."""
    size = int.from_bytes(content[-8:-4], "little")
    footer = content[-8 - size : -8].replace(_varint(2 * 4321), _varint(2 * rows))
    return content[: -8 - size] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def _varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])
