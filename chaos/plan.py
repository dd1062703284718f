"""What happens to which set-up, and how often in a whole run."""

from collections.abc import Callable
from dataclasses import dataclass

from chaos.cancelling import cancel_jobs
from chaos.disk import fill_the_disk
from chaos.failing import break_steps, share
from chaos.freezing import freeze_workers
from chaos.killing import kill_workers
from chaos.outages import break_connections, restart_servers
from chaos.report import Report
from chaos.rolling import restart_workers
from chaos.service import POSTGRES, REDIS, SETUPS, SQLITE, Service

Perform = Callable[[Service, int, Report], None]


@dataclass(frozen=True)
class Act:
    """`perform` does it `count` times to a service and writes down what it saw."""

    name: str
    perform: Perform
    counts: dict[str, int]  # by set-up; others are spared


# Killing comes last: what it leaves to the leases would delay the others.
ACTS = (
    Act("disk", fill_the_disk, {SQLITE: 5, POSTGRES: 5, REDIS: 5}),
    Act("rolling", restart_workers, {SQLITE: 15, POSTGRES: 15, REDIS: 20}),
    Act("cancelling", cancel_jobs, {SQLITE: 150, POSTGRES: 150, REDIS: 200}),
    Act("freezing", freeze_workers, {SQLITE: 4, POSTGRES: 4, REDIS: 4}),
    Act("disconnects", break_connections, {REDIS: 100}),
    Act("outages", restart_servers, {REDIS: 30}),
    Act("failpoints", break_steps, {setup: len(share(setup)) for setup in SETUPS}),
    Act("killing", kill_workers, {SQLITE: 150, POSTGRES: 150, REDIS: 200}),
)
