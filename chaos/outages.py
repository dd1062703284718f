"""Postgres is restarted and Redis killed under load, now and then emptied as well; the broker's connections break or freeze."""

import random
import signal
import time

import redis

from chaos import oracle
from chaos.load import Load, load
from chaos.report import Report
from chaos.service import Service

JOBS_PER_OUTAGE = 34  # of Postgres and of Redis: with 30 of each, 2,000 jobs
FLUSHED_EVERY = 3  # kills of Redis
FREEZES_PER_DISCONNECT = 0.1
_AWAY_SECONDS = (0.0, 1.5)
_FROZEN_SECONDS = 6.0  # longer than the API does not ask a broker that fell silent
_ANSWER_SECONDS = 10.0  # the API's most for a request without a broker
_DELAY_SECONDS = 1.0  # what a frozen broker costs one request at least
_FROZEN = "answer to a new job while the broker is frozen"


def restart_servers(service: Service, count: int, report: Report) -> None:
    """Restart Postgres and kill Redis so many times each, while short jobs are done."""
    assert service.postgres is not None
    assert service.redis is not None
    chance, first = random.Random(count), oracle.last_entry(service)  # noqa: S311  no secret
    with load(service, most=2 * JOBS_PER_OUTAGE * count) as submitting:
        for number in range(count):
            submitting.wait_until_accepted((2 * number + 1) * JOBS_PER_OUTAGE)
            # Half of them lose their clients' transactions at once, the others after a word of farewell.
            service.postgres.end(signal.SIGQUIT if number % 2 else signal.SIGINT)
            time.sleep(chance.uniform(*_AWAY_SECONDS))
            service.postgres.start()
            report.add("Postgres restarts")
            submitting.wait_until_accepted((2 * number + 2) * JOBS_PER_OUTAGE)
            if number % FLUSHED_EVERY == 0:
                redis.Redis.from_url(service.redis.url).flushall()
                report.add("Redis FLUSHALL")
            service.redis.end(signal.SIGKILL)
            time.sleep(chance.uniform(*_AWAY_SECONDS))
            service.redis.start()
            report.add("Redis kills")
    _demand_no_failures(service, first, report)
    oracle.check(service, report, submitting)


def break_connections(service: Service, count: int, report: Report) -> None:
    """Break off every connection to the broker so many times, and freeze it a tenth as often."""
    assert service.proxy is not None
    chance, first = random.Random(count), oracle.last_entry(service)  # noqa: S311  no secret
    freezes = max(1, round(FREEZES_PER_DISCONNECT * count))
    breaking = [service.proxy.drop] * count + [None] * freezes
    chance.shuffle(breaking)
    with load(service) as submitting:
        for drop in breaking:
            if drop is None:
                _freeze_broker(service, submitting, report)
            else:
                report.add("connections broken off", drop())
                report.add("disconnects")
                time.sleep(chance.uniform(0.1, 0.9))
    report.demand(report.counts["connections broken off"] > 0, "no connection was broken off")
    report.demand_quick(_FROZEN, _ANSWER_SECONDS * service.patience)
    report.demand(max(report.samples[_FROZEN]) > _DELAY_SECONDS, "no request met the frozen broker")
    _demand_no_failures(service, first, report)
    oracle.check(service, report, submitting)


def _freeze_broker(service: Service, submitting: Load, report: Report) -> None:
    """Nobody notices more than a delay: the API cannot tell any worker of jobs that it accepts meanwhile, but accepts them."""
    assert service.proxy is not None
    service.proxy.freeze()
    report.add("freezes")
    try:
        thawed_at = time.monotonic() + _FROZEN_SECONDS
        while time.monotonic() < thawed_at:
            began = time.monotonic()
            submitting.submit(0)  # it rings
            report.sample(_FROZEN, time.monotonic() - began)
            time.sleep(0.5)
    finally:
        service.proxy.thaw()


def _demand_no_failures(service: Service, first: int, report: Report) -> None:
    """Outages may cost leases, but they say nothing about the tasks."""
    lost, failed = (oracle.effects(service, effect, after=first) for effect in ("lost", "failure"))
    report.add("tasks lost", len(lost))
    report.demand_none((entry.subject for entry in failed), "tasks that an outage was counted against")
