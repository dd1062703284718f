"""docs/reliability.md names every requirement with the tests that show it, and no others."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REQUIREMENTS = [*(f"R{number}" for number in range(1, 15)), "A4", "A5", "A6"]


def shown() -> dict[str, set[str]]:
    """Requirement to the files whose tests are marked with it."""
    found = defaultdict(set)
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                marks = node.decorator_list
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
                marks = [node.value]
            else:
                continue
            for mark in marks:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.requirement":
                    found[ast.literal_eval(mark.args[0])].add(str(path.relative_to(ROOT)))
    return found


def table() -> dict[str, tuple[str, set[str], set[str]]]:
    """Requirement to what the page says of it: the promise, the modules that keep it, the files of tests."""
    rows = {}
    for line in (ROOT / "docs" / "reliability.md").read_text().splitlines():
        if re.match(r"\| [RA]\d+ \|", line):
            name, promise, held_by, tests = (cell.strip() for cell in line.strip("|").split("|"))
            assert name not in rows, "told twice"
            rows[name] = promise, set(re.findall(r"`([^`]+)`", held_by)), set(re.findall(r"`([^`]+)`", tests))
    return rows


def test_page_has_every_requirement_and_no_test_is_marked_with_another() -> None:
    assert list(table()) == REQUIREMENTS
    assert set(shown()) == set(REQUIREMENTS)


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_page_names_the_tests_that_show_a_requirement(name: str) -> None:
    promise, held_by, tests = table()[name]
    assert promise.endswith(".")
    assert {f"tests/{each}" for each in tests} == shown()[name]
    assert held_by
    assert all((ROOT / each).exists() for each in held_by), held_by
