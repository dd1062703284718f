"""A computation without end in a module that imports nothing, for tests that start many processes."""

from typing import Any

from app.isolation import Report


def compute(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    report({"begun": True})
    while True:
        pass
