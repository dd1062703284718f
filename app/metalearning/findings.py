"""What is noticed about a dataset before anything runs on it: coded findings, each with what to do."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """A warning lowers what can be expected; information only tells what was done."""

    WARNING = "warning"
    INFORMATION = "information"


@dataclass(frozen=True)
class Finding:
    """Something noticed about a dataset: a stable code, the column that it is about, the facts, and what to do."""

    code: str
    severity: Severity
    column: str | None
    detail: str
    advice: str
    evidence: dict[str, Any] = field(default_factory=dict)
