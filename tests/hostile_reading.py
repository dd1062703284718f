"""Read many hostile files in limited children, and tell how each one ended."""

import os
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import ServiceError
from app.isolation import Child, Ending, Limits, Report
from app.metalearning.columns import Declaration, type_table
from app.metalearning.preflight import inspect
from app.metalearning.reading import read_file

CPU_SECONDS = 5.0
MEMORY_BYTES = 2 << 30
FUNCTION = "tests.hostile_reading:read_in_child"
_BATCH = 60


@dataclass(frozen=True)
class Reading:
    """How one file ended: "table", an error's code, "bug", or what ended the child; with the CPU seconds it took."""

    name: str
    ending: str
    detail: str
    cpu_seconds: float


def read_all(files: Iterable[tuple[str, bytes]], folder: Path) -> list[Reading]:
    """Read, type and inspect every file; one that ends its child is named, and the others go on in a new one."""
    readings: list[Reading] = []
    batch: deque[tuple[str, str]] = deque()
    for number, (name, content) in enumerate(files):
        path = folder / str(number)
        path.write_bytes(content)
        batch.append((name, str(path)))
        if len(batch) == _BATCH:
            readings += _read_batch(batch, folder)
    return readings + _read_batch(batch, folder)


def _read_batch(batch: deque[tuple[str, str]], folder: Path) -> list[Reading]:
    readings: list[Reading] = []

    def hear(message: dict[str, Any]) -> None:
        if "ending" in message:
            readings.append(Reading(**message))
            Path(batch.popleft()[1]).unlink()

    while batch:
        limits = Limits(600.0, MEMORY_BYTES, fit_cpu_seconds=CPU_SECONDS, fit_wall_seconds=60.0)
        payload = {"files": list(batch)}
        outcome = Child(FUNCTION, payload, folder / "child", limits, hear).run()
        if outcome.ending is not Ending.OK:
            ended = {
                "name": batch[0][0],
                "ending": f"child: {outcome.ending}",
                "detail": outcome.log_tail[-300:],
            }
            hear({**ended, "cpu_seconds": 0.0})
    return readings


def read_in_child(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Read the files one after another, and report each; the time of each is limited as that of a fit is."""
    for name, path in payload["files"]:
        report({"kind": "fit"})
        began = time.process_time()
        ending, detail = _read(Path(path))
        seconds = time.process_time() - began
        report({"name": name, "ending": ending, "detail": detail[:500], "cpu_seconds": seconds})
    return {}


def die_on_the_second(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """What a crash in native code does to a batch."""
    for name, _ in payload["files"]:
        if name == "two":
            os.abort()
        report({"name": name, "ending": "table", "detail": "", "cpu_seconds": 0.0})
    return {}


def pathological(size: int) -> dict[str, bytes]:
    """ARFF files whose one hard line has about so many values, by name: such lines cost other readers 2 ** size."""
    nominal = b"@attribute x {%s\n@data\na\n"
    row = b"@attribute x string\n@attribute y string\n@data\n%s\n"
    return {
        "open nominal values": nominal % (b"a, " * size + b"'b"),
        "quoted nominal values": nominal % (b"'a', " * size),
        "escaped quotes": nominal % (b"'" + b"\\'" * size),
        "nominal values of blanks": nominal % (b"'  '  ,  " * size + b"'}"),
        "name of escapes": b"@attribute '" + b"\\\\" * size + b" numeric\n@data\n1\n",
        "row of quoted values": row % (b"'a' ," * size),
        "row of open escapes": row % (b"a,'" + b"\\'" * size),
        "sparse row": row % (b"{" + b"0 'a' ,1 " * size),
    }


def _read(path: Path) -> tuple[str, str]:
    try:
        raw = read_file(path, target="y")
        names = raw.frame.column_names
        target = "y" if "y" in names or not names else names[-1]
        table, _ = type_table(raw.frame, Declaration(target))
        inspect(table)
    except ServiceError as error:
        return error.code, error.detail
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  whatever else comes is what this looks for
        return "bug", f"{type(error).__name__}: {error}"
    return "table", f"{table.n_rows} rows, {len(table.columns)} columns"
