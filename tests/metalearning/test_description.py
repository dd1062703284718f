import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from app.errors import UnusableDatasetError
from app.isolation import Report
from app.metalearning import metafeatures
from app.metalearning.columns import Declaration
from app.metalearning.description import describe, describe_frame, describe_upload
from app.metalearning.metafeatures import NAMES, SCHEMA
from app.metalearning.table import TaskType, read_table
from tests.tables import CLASS, NUMBER, REGRESSION, described, mixed_columns, silent

report: Report = silent


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    pa.csv.write_csv(pa.table(mixed_columns(60)), tmp_path / "upload")
    return tmp_path / "upload"


def test_facts_are_json_and_name_everything_once(upload):
    table, facts = described(upload, CLASS)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["classes"] == ["high", "low", "middle"]
    assert [column["name"] for column in facts["columns"]] == [
        "size",
        "weight",
        "colour",
        "old",
        "made",
        NUMBER,
    ]
    assert [column["type"] for column in facts["columns"][2:5]] == ["categorical", "boolean", "date"]
    assert (facts["n_rows"], facts["task_type"], facts["target_sd"]) == (60, "classification", None)
    assert facts["reading"] == {
        "format": "csv",
        "compression": None,
        "encoding": "utf-8",
        "delimiter": ",",
        "decimal": ".",
        "thousands": None,
        "padded": False,
        "has_header": True,
        "skipped_lines": 0,
        "code_columns": [],
        "column_names": ["size", "weight", "colour", "old", "made", "number", "class"],
        "renamed_columns": [],
        "date_formats": {},
    }
    assert set(facts["metafeatures"]) == set(NAMES)
    timed = {each.name for each in SCHEMA if each.timed}
    assert set(facts["absent_metafeatures"]) == timed
    assert [each["code"] for each in facts["findings"]] == [
        "target_separated"
    ]  # classes are cuts of a number
    assert table.target == CLASS


def test_numeric_target_has_a_spread(upload):
    table, facts = described(upload, NUMBER)
    assert facts["target_sd"] == pytest.approx(np.std(table.target_values))
    assert facts["classes"] == []


def test_findings_of_typing_and_preflight_come_together(tmp_path):
    lines = ["x,empty,y", *(f"{row},,{'ab'[row % 2]}" for row in range(30)), "30,,"]
    (tmp_path / "upload").write_text("\n".join(lines))
    codes = {finding["code"] for finding in described(tmp_path / "upload", "y")[1]["findings"]}
    assert codes == {"missing_target_rows", "all_missing_column", "few_rows"}


def test_only_what_was_sampled_is_said_to_be(monkeypatch):
    def sampling(n_rows: int, n_columns: int) -> list[str]:
        columns = {f"x{index}": np.arange(n_rows) % (2 + index % 7) for index in range(n_columns)}
        frame = pa.table({**columns, "y": ["p", "q"] * (n_rows // 2)})
        _, facts = describe_frame(frame, Declaration("y"), 0)
        return [each["detail"] for each in facts["findings"] if each["code"] == "metafeatures_sampled"]

    assert sampling(30, 3) == []
    (wide,) = sampling(30, 400)
    assert wide == "Those of pairs of columns rest on 300 of 400 columns."
    monkeypatch.setattr(metafeatures, "MOST_CELLS", 3)
    (long,) = sampling(1_200, 3)
    assert long == "Metafeatures rest on 1,000 of 1,200 rows."


def test_upload_leaves_the_typed_table_beside_it(upload):
    declared = asdict(Declaration(NUMBER, REGRESSION))
    payload = {"folder": str(upload.parent), "declared": declared, "landmarking_seconds": 0.0}
    facts = describe_upload(payload, report)
    table = read_table(upload.parent / "table.parquet")
    features = [{"name": each.name, "type": each.type, "role": "feature"} for each in table.columns]
    assert features == facts["columns"]
    assert table.n_rows == 60


def test_unusable_upload_is_refused(upload):
    with pytest.raises(UnusableDatasetError):
        described(upload, "nothing")


def test_several_columns_with_the_targets_name_are_told(tmp_path):
    (tmp_path / "upload").write_text(
        "\n".join(["y,a,y", *(f"{row % 2},{row * row % 7},{row % 3}" for row in range(40))])
    )
    table, facts = described(tmp_path / "upload", "y")
    assert [column.name for column in table.columns] == ["a", "y.2"]
    assert "repeated_target_name" in {finding["code"] for finding in facts["findings"]}


@pytest.mark.parametrize(
    ("n_classes", "task_type", "told"), [(6, None, True), (5, None, False), (6, "classification", False)]
)
def test_counts_taken_for_classes_are_told(tmp_path, n_classes, task_type, told):
    lines = ["x,y", *(f"{row * row % 11},{row % n_classes}" for row in range(60))]
    (tmp_path / "upload").write_text("\n".join(lines))
    declared = Declaration("y", task_type and TaskType(task_type))
    _, facts = describe(tmp_path / "upload", declared, 0.0)
    assert ("integers_as_classes" in {finding["code"] for finding in facts["findings"]}) == told
    assert facts["task_type"] == "classification"
