"""Postgres is restarted and Redis killed under load, now and then emptied as well; the broker's connections break or freeze."""

import random
import signal
import time

import httpx
import redis

from chaos import oracle
from chaos.load import load
from chaos.report import Report
from chaos.service import Service

JOBS_PER_OUTAGE = 34  # of Postgres and of Redis: with 30 of each, 2,000 jobs
FLUSHED_EVERY = 3  # kills of Redis
FREEZES_PER_DISCONNECT = 0.1
_AWAY_SECONDS = (0.0, 1.5)
FROZEN_SECONDS = 6.0  # longer than the API waits for a broker
_ANSWER_SECONDS = 10.0  # the API's most for a request without a broker


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
                _freeze_broker(service, report)
            else:
                report.add("connections broken off", drop())
                report.add("disconnects")
                time.sleep(chance.uniform(0.1, 0.9))
    _demand_no_failures(service, first, report)
    oracle.check(service, report, submitting)


def _freeze_broker(service: Service, report: Report) -> None:
    """Nobody notices more than a delay: the API says no word about jobs that it accepts meanwhile, but accepts them."""
    assert service.proxy is not None
    service.proxy.freeze()
    report.add("freezes")
    try:
        thawed_at = time.monotonic() + FROZEN_SECONDS
        while time.monotonic() < thawed_at:
            began = time.monotonic()
            service.http.get(
                "/jobs", params={"limit": 1}, timeout=httpx.Timeout(_ANSWER_SECONDS)
            ).raise_for_status()
            report.sample("answer while the broker is frozen", time.monotonic() - began)
            time.sleep(0.5)
    finally:
        service.proxy.thaw()


def _demand_no_failures(service: Service, first: int, report: Report) -> None:
    """Outages may cost leases, but they say nothing about the tasks."""
    lost, failed = (oracle.effects(service, effect, after=first) for effect in ("lost", "failure"))
    report.add("tasks lost", len(lost))
    report.demand_none((entry.subject for entry in failed), "tasks that an outage was counted against")
