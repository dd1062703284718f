"""The command line, called in this process."""

import sys
from pathlib import Path

import pytest

from app import cli

CONTENT = "x,zip,patient,y\n" + "".join(f"{row % 9},{row % 3},p{row // 4},{row % 2}\n" for row in range(60))


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run `metaselect describe` on a small file; its exit code, and all that it says."""
    (tmp_path / "data.csv").write_text(CONTENT)

    def call(*arguments: str):
        path = str(tmp_path / "data.csv")
        monkeypatch.setattr(sys, "argv", ["metaselect", "describe", path, "--seconds", "0", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        if isinstance(ended.value.code, str):  # what Python prints to standard error, with exit code 1
            return 1, ended.value.code
        return ended.value.code, captured.out + captured.err

    return call


def test_declared_columns_are_heeded(call):
    code, said = call("--target", "y", "--column-type", "zip=categorical", "--group", "patient")
    assert code == 0
    assert "group_column" in said
    assert "15 groups" in said


def test_refusal_is_told_with_its_code_and_advice(call):
    code, said = call("--target", "z")
    assert code == 1
    assert (
        said
        == "target_not_found: There is no column 'z'.\nName one of the file's columns: x, zip, patient, y."
    )


@pytest.mark.parametrize("given", ["zip", "zip=", "zip=code", "=numeric"])
def test_column_type_of_another_form_is_a_usage_error(call, given):
    code, said = call("--target", "y", "--column-type", given)
    if given == "=numeric":
        assert (code, said.split(":")[0]) == (1, "column_not_found")
    else:
        assert code == 2
        assert "COLUMN=TYPE" in said
        assert "Traceback" not in said


def test_folder_in_place_of_a_file_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["metaselect", "describe", str(tmp_path), "--target", "y"])
    with pytest.raises(SystemExit, match="is a folder"):
        cli.main()
