"""What happens to which set-up, and how often in a whole run."""

from collections.abc import Callable
from dataclasses import dataclass

from chaos.killing import kill_workers
from chaos.report import Report
from chaos.service import POSTGRES, REDIS, SQLITE, Service

Perform = Callable[[Service, int, Report], None]


@dataclass(frozen=True)
class Act:
    """`perform` does it `count` times to a service and writes down what it saw."""

    name: str
    perform: Perform
    counts: dict[str, int]  # by set-up; others are spared


ACTS = (Act("killing", kill_workers, {SQLITE: 165, POSTGRES: 165, REDIS: 170}),)
