"""Rows and columns that occur more than once, found by hashes."""

import hashlib

import numpy as np
import numpy.typing as npt

from app.metalearning.findings import Finding, found
from app.metalearning.preflight.examined import Examined
from app.metalearning.table import BoolArray, Table, TaskType

# Fewer repetitions are chance, or not worth a word.
_SHARE_OF_ROWS = 0.01
_ODD, _MIXER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xFF51AFD7ED558CCD)


def inspect(columns: list[Examined], sample: Table) -> list[Finding]:
    """Findings about repeated rows and columns of the rows that were examined."""
    return [*_rows(columns, sample), *_columns(columns)]


def _rows(columns: list[Examined], sample: Table) -> list[Finding]:
    hashes = _hashes_of_rows(columns, sample.n_rows)
    order = np.lexsort((sample.target_values, hashes))
    same_features = np.diff(hashes[order]) == 0
    same_target = np.diff(sample.target_values[order]) == 0
    n_repeated = int(np.count_nonzero(same_features & same_target))
    findings = []
    if n_repeated > _SHARE_OF_ROWS * sample.n_rows:
        detail = f"{n_repeated} of {sample.n_rows} rows repeat another one, target included."
        findings.append(
            found("duplicate_rows", None, detail, n_rows=n_repeated, n_rows_examined=sample.n_rows)
        )
    if sample.task_type is TaskType.REGRESSION:
        return findings  # a quantity that is measured twice differs as a matter of course
    n_contradictory = _rows_of_mixed_runs(same_features, same_target)
    if n_contradictory > _SHARE_OF_ROWS * sample.n_rows:
        detail = (
            f"{n_contradictory} of {sample.n_rows} rows have the features of another row and not its class."
        )
        findings.append(
            found(
                "contradictory_duplicates",
                None,
                detail,
                n_rows=n_contradictory,
                n_rows_examined=sample.n_rows,
            )
        )
    return findings


def _hashes_of_rows(columns: list[Examined], n_rows: int) -> npt.NDArray[np.uint64]:
    """A number for every row that equal rows share, and different ones but by a chance of 2^-64."""
    hashes = np.zeros(n_rows, dtype=np.uint64)
    for column in columns:
        bits = np.where(np.isnan(column.values), np.nan, column.values).view(np.uint64)
        hashes = (hashes ^ (bits + _ODD)) * _MIXER
        hashes ^= hashes >> np.uint64(32)
    return hashes


def _rows_of_mixed_runs(same_features: BoolArray, same_target: BoolArray) -> int:
    """How many rows lie in runs of equal features in which the target changes."""
    run = np.concatenate([[0], np.cumsum(~same_features)])
    is_mixed = np.zeros(run[-1] + 1, dtype=bool)
    is_mixed[run[1:][same_features & ~same_target]] = True
    return int(np.count_nonzero(is_mixed[run]))


def _columns(columns: list[Examined]) -> list[Finding]:
    first: dict[tuple[bool, bytes], Examined] = {}
    findings = []
    for column in columns:
        if len(column.present) == 0 or np.ptp(column.present) == 0:
            continue
        bits = np.where(np.isnan(column.values), np.nan, column.values).tobytes()
        key = (column.is_number_like, hashlib.blake2b(bits, digest_size=16).digest())
        original = first.setdefault(key, column)
        if original is not column:
            detail = f"The column repeats {original.name!r}."
            evidence = {"original": original.name, "n_rows_examined": len(column.values)}
            findings.append(found("duplicate_columns", column.name, detail, **evidence))
    return findings
