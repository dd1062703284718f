"""The exported script reads every file as the service does: each format, compression and oddity, cell for cell."""

import gzip
import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from app.metalearning.columns import Declaration, type_table
from app.metalearning.metrics import METRICS
from app.metalearning.portfolio.expressions import call
from app.metalearning.reading import read_file
from app.metalearning.table import ColumnType
from tests.tables import CLASSIFICATION, combine, described, measure
from workers.experiments import pipelines, script, stacking

N = 60
ROWS = range(N)
COMPRESSIONS = {
    None: bytes,
    "gzip": lambda content: gzip.compress(content[:50]) + b"\0" * 9 + gzip.compress(content[50:]),
    "zstd": lambda content: b"".join(
        pa.compress(part, "zstd", asbytes=True) for part in (content[:50], content[50:])
    ),
}
CODES = ["007", "012", "100"]


def lines(header, row, end="\n", first=""):
    """A text of a header and of rows that are made of their numbers."""
    return (first + end.join([*header, *(row(index) for index in ROWS)]) + end).encode()


CSV = lines(["x,city,y"], lambda i: f"{i}.5,{'ab'[i % 2]},{i % 7}.25")
PADDED = lines(["x | city | y"], lambda i: f"{i}.5| {'ab'[i % 2]}|  {i % 7}.25").replace(b" |", b"|")
GERMAN = lines(
    ["Größe;Preis;Ort;y"], lambda i: f"{i},5;{i + 1}.234,50;{'Köln' if i % 2 else ''};{i % 7},25", "\r\n"
)
BESIDE_CODES = lines(
    ["x,price,code,y"],
    lambda i: f'{i},"{i + 1},234",{CODES[i % 3] if i else chr(34) + "1,234" + chr(34)},{i % 7}.5',
)
DATES = lines(
    ["at,day,y"], lambda i: f"2020-01-{i % 28 + 1:02d} 06:00:0{i % 10},2020-01-{i % 3 + 1:02d},{i % 7}.5"
)
ARFF = lines(
    [
        "% a comment",
        "@relation 'of a, test'",
        "@attribute 'the size' REAL",
        "@attribute whole integer",
        "@ATTRIBUTE colour {red, 'dark blue', \"it's\"}",
        "@attribute level {1.0,2.0}",
        "@attribute word string",
        "@attribute made date 'yyyy-MM-dd HH:mm'",
        "@attribute 'is{odd' date",
        "@attribute y numeric",
        "",
        "@data",
        "% another",
    ],
    lambda i: ", ".join(
        [
            "?" if i % 9 == 0 else f"{i}e-1",
            f"{i * 7 % 50}.0",
            ["red", "'dark blue'", '"it\'s"'][i % 3],
            f"{i % 2 + 1}.0",
            ["'50 % \\'off\\', now'", "'%'", '"a,\\tb"', "?"][i % 4],
            f"'2020-02-{i % 28 + 1:02d} 06:30'",
            "?" if i % 2 else "2020-02-01T00:00:30",
            f"{i % 7}.25",
        ]
    ),
)
SPARSE = lines(
    [
        "@relation sparse",
        "@attribute a numeric",
        "@attribute colour {'light, red', blue, ?}",
        "@attribute word string",
        "@attribute made date yyyyMMdd",
        "@attribute y real",
        "@data",
    ],
    lambda i: (
        "{ "
        f"{'0 ' + str(i) + ',' if i % 2 else ''} 1 {['blue', '?'][i % 2]} , 2 '%,w{i % 3}',\t3 2020010{i % 3 + 1}, 4 {i % 7}.5"
        "}"
        if i % 5
        else "{3 20200105, 4 1}"
    ),
)
JSON = lines(
    [],
    lambda i: (
        json.dumps(
            {
                "n": i if i % 2 else i + 0.5,
                "flag": i % 3 == 0,
                "word": ["a\nb", "Ä\u2028", "2020-01-01"][i % 3],
            }
            | {
                "whole": 10**17 + i,
                "large": 10**19,
                "mixed": 2**57 + i if i % 2 else 0.5,
                " spaced": i * 2 if i % 4 else None,
            }
            | ({"late": i % 3 + 1} if i > 30 else {})
            | {"y": i % 7 + 0.25},
            ensure_ascii=i % 2 == 0,
        )
        + ("\n" if i % 5 == 0 else "")
    ),
)


def parquet_bytes():
    sink = io.BytesIO()
    columns = {
        "coded": pa.array([["a", "b", None][i % 3] for i in ROWS]).dictionary_encode(),
        "coded numbers": pa.array([i % 9 + 0.0 for i in ROWS]).dictionary_encode(),
        "viewed": pa.array([["a", "b"][i % 2] for i in ROWS], pa.string_view()),
        "money": pa.array([i * 100 for i in ROWS], pa.int64()).cast(pa.decimal128(25, 2)),
        "clock": pa.array([i * 1000 for i in ROWS], pa.time32("ms")),
        "lasting": pa.array([i * 1000 for i in ROWS], pa.duration("us")),
        "zoned": pa.array([i * 10**9 for i in ROWS], pa.timestamp("ns", "Europe/Berlin")),
        "day": pa.array([i % 9 for i in ROWS], pa.date32()),
        "flag": [[True, False, None][i % 3] for i in ROWS],
        "whole": pa.array([2**53 + i if i % 4 else None for i in ROWS]),
        "y": [i % 7 + 0.5 if i % 11 else float("nan") for i in ROWS],
    }
    pa.parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


FILES = {"csv": CSV, "parquet": parquet_bytes(), "arff": ARFF, "sparse_arff": SPARSE, "json_lines": JSON}


@pytest.fixture
def read_alike(tmp_path):
    """Check that the script's `read` returns the service's typed table; what was told of reading, and the source."""

    def read_alike(content, target="y", **declared):
        path = tmp_path / "upload"
        path.write_bytes(content)
        raw = read_file(path, target=target)
        table, _ = type_table(raw.frame, Declaration(target, **declared))
        metric = METRICS["log_loss" if table.task_type is CLASSIFICATION else "rmse"]
        source = script.render_script(call("builtins.dict"), table, metric, 0.5, raw.facts())
        variables = {"__name__": "script"}
        exec(source.partition("def predict_out_of_fold")[0], variables)
        data, targets, *roles = variables["read"](str(path))
        pd.testing.assert_frame_equal(data, pipelines.features(table), rtol=1e-12)
        np.testing.assert_array_equal(targets, table.target_values)
        if table.group is not None:
            groups = roles.pop(0)
            assert len(np.unique(groups)) == len(np.unique(np.column_stack([groups, table.groups]), axis=0))
        if table.time is not None:
            np.testing.assert_allclose(roles.pop(), table.times, rtol=1e-12)
        return raw, table, source

    return read_alike


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("form", FILES)
def test_every_format_is_read_alike_under_every_compression(read_alike, form, compression):
    raw, _, _ = read_alike(COMPRESSIONS[compression](FILES[form]))
    assert (raw.format, raw.compression) == (form, compression)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("form", ["csv", "arff", "json_lines"])
def test_every_encoding_is_read_alike(read_alike, form, encoding):
    content = FILES[form].decode().replace("\u2028", "ß").replace("colour", "Größe").replace("city", "Größe")
    raw, _, _ = read_alike(content.encode(encoding))
    assert raw.encoding == ("utf-8" if encoding == "utf-8-sig" else encoding)


ODDITIES = {
    "no header": (CSV.split(b"\n", 1)[1], {"has_header": False}, "column_3"),
    "comments": (b"# don't \"\n\n# no\n" + CSV, {"skipped_lines": 3}, "y"),
    "comments, no header": (
        b"# don't\n" + CSV.split(b"\n", 1)[1],
        {"skipped_lines": 1, "has_header": False},
        "column_3",
    ),
    "named delimiter": (b"sep=,\r\n" + CSV, {"skipped_lines": 1}, "y"),
    "header of several lines": (
        CSV.replace(b"x,city", b'"x\n(in\r\n""m"")",city'),
        {"has_header": True},
        "y",
    ),
    "carriage returns": (b"#\r" + CSV.replace(b"\n", b"\r"), {"skipped_lines": 1}, "y"),
    "blank lines": (CSV.replace(b"\n", b"\n\n"), {}, "y"),
    "cells of several lines": (CSV.replace(b"a,", b'"a\r\n\n b",'), {}, "y"),
    "padded": (PADDED, {"padded": True, "delimiter": "|"}, "y"),
    "padded by commas": (PADDED.replace(b"|", b","), {"padded": True, "delimiter": ","}, "y"),
    "tabs": (CSV.replace(b",", b"\t"), {"delimiter": "\t"}, "y"),
    "decimal commas": (GERMAN, {"decimal": ",", "thousands": ".", "delimiter": ";"}, "y"),
    "codes beside thousands": (BESIDE_CODES, {"thousands": ",", "code_columns": ("code",)}, "y"),
    "repeated names": (CSV.replace(b"city", b"x "), {"renamed_columns": ("x.2",)}, "y"),
    "missing": (CSV.replace(b"a,", b'"NULL",').replace(b"\n5.5", b"\nN/A"), {}, "y"),
    "labels of codes": (BESIDE_CODES.replace(b'"1,234"', b"1234"), {"code_columns": ("code",)}, "code"),
}


@pytest.mark.parametrize("oddity", ODDITIES)
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_oddities_of_delimited_files_are_read_alike(read_alike, oddity, compression):
    content, expected, target = ODDITIES[oddity]
    raw, _, _ = read_alike(COMPRESSIONS[compression](content), target)
    assert {name: getattr(raw, name) for name in expected} == expected


def test_repeated_names_of_parquet_are_read_alike(read_alike):
    sink = io.BytesIO()
    columns = [[index % 7 for index in ROWS], ["a", "b"] * (N // 2), [index % 11 + 0.5 for index in ROWS]]
    pa.parquet.write_table(pa.table(columns, names=["x", "x", "y"]), sink)
    assert read_alike(sink.getvalue())[0].renamed_columns == ("x.2",)


@pytest.mark.parametrize(
    ("content", "types"),
    [
        (DATES, ["at", "day"]),
        (CSV, ["x"]),
        (GERMAN, ["Größe", "Preis"]),
        (ARFF, ["the size", "whole", "level", "made", "is{odd"]),
        (SPARSE, ["a", "made"]),
        (JSON, ["n", "flag", "large", "late"]),
        (FILES["parquet"], ["coded numbers", "money", "clock", "zoned", "day", "flag", "whole"]),
    ],
    ids=["dates", "csv", "german", "arff", "sparse", "json", "parquet"],
)
def test_what_is_declared_categorical_has_the_same_labels(read_alike, content, types):
    _, table, _ = read_alike(content, column_types=dict.fromkeys(types, ColumnType.CATEGORICAL))
    assert {column.name for column in table.columns if column.type == "categorical"} >= set(types)


TIMES = {
    "days first": (lambda i: f"{i % 28 + 1}/{i % 12 + 1}/2020", None, "%d/%m/%Y"),
    "names of months": (lambda i: f"{i % 28 + 1} Mar {2000 + i} 2:30 PM", None, "%d %b %Y %I:%M %p"),
    "mixed": (lambda i: f"2020-01-{i % 28 + 1:02d}" + " 06:00Z" * (i % 2), None, "ISO8601"),
    "units": (lambda i: f'"$1,{100 + i}.5"', None, "1,234.5"),
    "digits": (lambda i: f"202001{i % 28 + 1:02d}", ColumnType.DATE, "%Y%m%d"),
    "clocks": (lambda i: f"{i % 12 + 1}:{i:02d} pm", ColumnType.TIME, "%I:%M %p"),
    "dates": (lambda i: f"2020-01-{i % 28 + 1:02d}", None, None),
    "numbers": (lambda i: str(-i), None, None),
}


@pytest.mark.parametrize("time", TIMES)
def test_written_times_are_read_alike(read_alike, time):
    cell, kind, source = TIMES[time]
    content = lines(["at,g,x,y"], lambda i: f"{cell(i)},g{i % 12},{i}.5,{i % 7}.5")
    types = {} if kind is None else {"at": kind}
    _, table, _ = read_alike(content, group="g", time="at", column_types=types)
    assert table.time_source == source


@pytest.mark.parametrize("target", ['"$1,{}.5"', "{} %", "1.{},5"])
def test_written_targets_are_read_alike(read_alike, target):
    content = lines(["x;y"], lambda i: f"{i}.5;{target.format(100 + i)}")
    _, table, _ = read_alike(content)
    assert table.task_type == "regression"


def test_scripts_show_only_what_their_file_needs(read_alike):
    _, _, plain = read_alike(CSV)
    _, _, sparse = read_alike(COMPRESSIONS["gzip"](SPARSE))
    found = {
        word: (word in plain, word in sparse)
        for word in ("pyarrow.csv", "skip_rows=", "sparse_cells", "datetime", "gzip", "trimmed", "json")
    }
    assert found == {
        "pyarrow.csv": (True, False),
        "skip_rows=": (False, False),
        "sparse_cells": (False, True),
        "datetime": (False, True),
        "gzip": (False, True),
        "trimmed": (False, False),
        "json": (False, False),
    }


@pytest.mark.parametrize(
    ("content", "compression"), [(ARFF, None), (JSON, "gzip")], ids=["arff", "json lines by gzip"]
)
def test_script_prints_the_score_of_the_leaderboard_for(tmp_path, content, compression):
    path = tmp_path / "upload"
    path.write_bytes(COMPRESSIONS[compression](content))
    table, facts = described(path, "y")
    experiment = measure(table, "reg-ridge-default", tmp_path)
    outcome = combine(table, [experiment], "rmse", tmp_path, facts["reading"])
    score = round(outcome["result"]["leaderboard"][0]["scores"]["rmse"], 6)
    ran = subprocess.run(
        [sys.executable, tmp_path / stacking.SCRIPT_FILE, path], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == [f"rmse = {score}", "`model` is fitted on 60 rows."]
