"""What must hold after every act, read from a log of effects that the database itself keeps.

Triggers append to `effect_log` in the transaction of each effect, and refuse any change of it. So a job that ended twice or
an experiment that was measured twice is seen even where the rows look right afterwards.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from app.store import blobs
from chaos import processes
from chaos.load import Load, upload
from chaos.report import Report
from chaos.service import Service
from tests.deployments import wait_until

# effect: table, event, when it counts, whom it is about, what is noted
EFFECTS = {
    "job_ended": ("jobs", "UPDATE OF status", "NEW.status NOT IN ('queued', 'running')", "id", "status"),
    "task_ended": ("tasks", "UPDATE OF status", "NEW.status NOT IN ('queued', 'running')", "id", "status"),
    "lost": ("tasks", "UPDATE OF lost", "NEW.lost > OLD.lost", "id", "lost"),
    "failure": ("tasks", "UPDATE OF failures", "NEW.failures > OLD.failures", "id", "failures"),
    "measured": ("experiments", "UPDATE OF outcome", "NEW.outcome IS NOT NULL", "task_id", "outcome"),
    "evaluation": ("evaluations", "INSERT", "", "experiment_id", "status"),
    "model": ("models", "INSERT", "", "job_id", "id"),
}
ONCE = ("job_ended", "task_ended", "measured", "evaluation", "model")
_CLEARED_SECONDS = 30.0
_LONG_AGO_SECONDS = 2 * 3600.0

# Each finds what must not be: the ids that it returns are objected to.
_CONTRADICTIONS = {
    "jobs that have not ended": "SELECT id FROM jobs WHERE status IN ('queued', 'running')",
    "tasks that have not ended": "SELECT id FROM tasks WHERE status IN ('queued', 'running')",
    "jobs that failed": "SELECT id FROM jobs WHERE status = 'failed'",
    "tasks of jobs that succeeded, which did not": """
        SELECT tasks.id FROM tasks JOIN jobs ON jobs.id = job_id
        WHERE jobs.status = 'succeeded' AND tasks.status <> 'succeeded'""",
    "ended jobs, of which the log does not know": """
        SELECT id FROM jobs WHERE status NOT IN ('queued', 'running') AND NOT EXISTS
        (SELECT 1 FROM effect_log WHERE effect = 'job_ended' AND subject = jobs.id AND value = jobs.status)""",
    "measured experiments without exactly one evaluation": """
        SELECT task_id FROM experiments JOIN tasks ON tasks.id = task_id WHERE tasks.status = 'succeeded' AND 1 <>
        (SELECT count(*) FROM effect_log WHERE effect = 'evaluation' AND subject = task_id)""",
    "experiments that left no good result": """
        SELECT task_id FROM experiments JOIN tasks ON tasks.id = task_id
        WHERE tasks.status = 'succeeded' AND coalesce(outcome, '') <> 'ok'""",
    "evaluations of experiments that were not finished": """
        SELECT experiment_id FROM evaluations JOIN tasks ON tasks.id = experiment_id
        WHERE tasks.status <> 'succeeded'""",
    "verifications that succeeded without exactly one model": """
        SELECT id FROM jobs WHERE kind = 'verification' AND status = 'succeeded' AND 1 <>
        (SELECT count(*) FROM effect_log WHERE effect = 'model' AND subject = jobs.id)""",
    "models of jobs that did not succeed": """
        SELECT models.id FROM models JOIN jobs ON jobs.id = job_id WHERE jobs.status <> 'succeeded'""",
    "jobs whose events have a gap": """
        SELECT id FROM jobs WHERE version <> (SELECT count(*) FROM job_events WHERE job_id = jobs.id)
        OR version <> (SELECT max(position) FROM job_events WHERE job_id = jobs.id)""",
    "jobs whose last event is not their only end": """
        SELECT id FROM jobs WHERE status NOT IN ('queued', 'running') AND (version <>
        (SELECT max(position) FROM job_events WHERE job_id = jobs.id AND kind = 'ended') OR 1 <>
        (SELECT count(*) FROM job_events WHERE job_id = jobs.id AND kind = 'ended'))""",
    "blobs that nothing refers to": """
        SELECT hash FROM blobs WHERE hash NOT IN (
            SELECT content_hash FROM datasets WHERE content_hash IS NOT NULL
            UNION SELECT predictions_hash FROM experiments WHERE predictions_hash IS NOT NULL
            UNION SELECT artifact_hash FROM models UNION SELECT content_hash FROM meta_datasets
            UNION SELECT onnx_hash FROM models WHERE onnx_hash IS NOT NULL
            UNION SELECT input_hash FROM predictions WHERE input_hash IS NOT NULL
            UNION SELECT output_hash FROM predictions WHERE output_hash IS NOT NULL)""",
    "rows that outlived the job which predicted them": """
        SELECT job_id FROM predictions JOIN jobs ON jobs.id = job_id
        WHERE jobs.status NOT IN ('queued', 'running') AND input_hash IS NOT NULL""",
}


def keep_log(service: Service) -> None:
    """Have the database log effects from now on."""
    for statement in _log_of(service.database.engine.dialect.name):
        with service.database.engine.begin() as connection:
            connection.exec_driver_sql(statement)


def check(service: Service, report: Report, *loads: Load) -> None:
    """Object to whatever is not as it must be, in the whole database and on the machine, now that nothing is to do."""
    check_database(service, report)
    for load in loads:
        _check_load(service, report, load)
    _check_api(service, report)
    _check_metrics(service, report)
    _check_processes(service, report)
    _check_files(service, report)


def rows(service: Service, query: str, **parameters: Any) -> list[Any]:
    """What the database answers."""
    with service.database.read() as session:
        return list(session.execute(text(query), parameters).all())


def effects(service: Service, effect: str, after: int = 0) -> list[Any]:
    """What was logged of an effect behind this entry: subject, value and when, by the database's clock."""
    query = "SELECT subject, value, at FROM effect_log WHERE effect = :effect AND id > :after ORDER BY id"
    return rows(service, query, effect=effect, after=after)


def last_entry(service: Service) -> int:
    """The number of the log's newest entry."""
    return int(rows(service, "SELECT coalesce(max(id), 0) FROM effect_log")[0][0])


def check_database(service: Service, report: Report) -> None:
    """Object to effects that were logged more than once, and to rows that contradict each other or the log."""
    for effect in ONCE:
        doubled = rows(
            service,
            "SELECT subject FROM effect_log WHERE effect = :effect GROUP BY subject HAVING count(*) > 1",
            effect=effect,
        )
        report.demand_none((row[0] for row in doubled), f"{effect} more than once")
    for objection, query in _CONTRADICTIONS.items():
        report.demand_none((row[0] for row in rows(service, query)), objection)


def _check_load(service: Service, report: Report, load: Load) -> None:
    known = {row[0] for row in rows(service, "SELECT id FROM jobs")}
    report.add("jobs accepted", len(load.accepted))
    report.demand(load.accepted, "no job was accepted: nothing was put to the test")
    report.add("requests asked again", load.repeated)
    report.demand_none(load.accepted - known, "jobs that were accepted and are not there")
    of_load = {
        row[0] for row in rows(service, "SELECT id FROM jobs WHERE dataset_id = :id", id=load.dataset_id)
    }
    report.demand_none(of_load - load.accepted, "jobs that nobody was told of")
    report.demand_none(load.errors, "errors of the API")


def _check_api(service: Service, report: Report) -> None:
    """What the API reports must be what the database holds."""
    reported: Counter[str] = Counter()
    cursor = None
    while True:
        page = service.http.get("/jobs", params={"limit": 100, **({"cursor": cursor} if cursor else {})})
        body = page.raise_for_status().json()
        reported.update(job["status"] for job in body["items"])
        cursor = body["next_cursor"]
        if cursor is None:
            break
    held = dict(map(tuple, rows(service, "SELECT status, count(*) FROM jobs GROUP BY status")))
    report.demand(dict(reported) == held, f"the API lists {dict(reported)}, the database holds {held}")
    for effect, status in (("job_ended", "succeeded"), ("job_ended", "cancelled")):
        logged = sum(entry.value == status for entry in effects(service, effect))
        report.demand(
            logged == held.get(status, 0), f"{logged} jobs were logged as {status}, {held} are there"
        )


def _check_metrics(service: Service, report: Report) -> None:
    """So must what it exposes to Prometheus, of jobs, tasks and attempts.

    Attempts are counted in the transaction that ends them, so there is no worker to wait for; only for the database, whose
    figures the page leaves out where it is slow.
    """
    try:
        exposed = wait_until(lambda: _exposed(service), _CLEARED_SECONDS, every=0.5)
    except AssertionError:
        report.demand(False, "/metrics tells nothing of the database")
        return
    held = dict(map(tuple, rows(service, "SELECT status, count(*) FROM jobs GROUP BY status")))
    listed = {status: int(exposed[f"jobs {status}"]) for status in held}
    report.demand(listed == held, f"/metrics counts {listed} jobs, the database holds {held}")
    report.demand(
        exposed["metaselect_tasks"] == 0, f"/metrics counts {exposed['metaselect_tasks']:g} tasks to do"
    )
    ((attempts,),) = rows(service, "SELECT coalesce(sum(attempt), 0) FROM tasks")
    counted = int(exposed["metaselect_attempts_total"])
    report.demand(counted == attempts, f"/metrics counts {counted} attempts, the tasks had {attempts}")


def _exposed(service: Service) -> Counter[str] | None:
    """The page's sums over all labels, and jobs by their status; None where the database did not tell in time."""
    page = service.http.get("/metrics").raise_for_status().text
    exposed: Counter[str] = Counter()
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            exposed[sample.name] += sample.value
            if sample.name == "metaselect_jobs":
                exposed[f"jobs {sample.labels['status']}"] += sample.value
    return exposed if exposed["metaselect_database_up"] else None


def _check_processes(service: Service, report: Report) -> None:
    """With nothing to do nobody computes: children write to their task's folder."""
    computing = processes.computing(service.mark)
    report.demand_none(computing.values(), "processes compute although nothing is to do")
    try:
        wait_until(lambda: not processes.orphans(service.mark), _CLEARED_SECONDS, every=0.5)
    except AssertionError:  # a forkserver that still loads libraries looks for its owner only afterwards
        report.demand_none(processes.orphans(service.mark), "processes that outlived who started them")


def _check_files(service: Service, report: Report) -> None:
    """What killed workers left is cleared once it is old enough; nothing else is there."""
    for path in _left(service):
        long_ago = time.time() - _LONG_AGO_SECONDS
        os.utime(path, (long_ago, long_ago))
        report.add("folders and files that the dead left to be cleared")
    upload(service)  # has the API clear what is on its disk
    try:
        wait_until(lambda: not list(_left(service)), _CLEARED_SECONDS, every=0.5)
    except AssertionError:
        report.demand_none(_left(service), "folders and files that nobody clears")


def _left(service: Service) -> Iterator[Any]:
    for data_dir in service.data_dirs:
        yield from (path for path in (data_dir / "scratch").glob("*") if path.name != "probe.json")
        yield from (data_dir / "cache").glob(f"{blobs.FETCHING}*")


def _log_of(dialect: str) -> Iterator[str]:
    """The statements that make the log and its triggers."""
    if dialect == "sqlite":
        yield """CREATE TABLE effect_log (
            id INTEGER PRIMARY KEY, at REAL DEFAULT ((julianday('now') - 2440587.5) * 86400.0),
            effect TEXT, subject TEXT, value TEXT)"""
        for change in ("UPDATE", "DELETE"):
            yield f"""CREATE TRIGGER effect_log_no_{change} BEFORE {change} ON effect_log
                BEGIN SELECT RAISE(ABORT, 'the log of effects is only appended to'); END"""
    else:
        yield """CREATE TABLE effect_log (
            id BIGSERIAL PRIMARY KEY, at DOUBLE PRECISION DEFAULT extract(epoch from clock_timestamp()),
            effect TEXT, subject TEXT, value TEXT)"""
        yield """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'the log of effects is only appended to'; END $$"""
        yield """CREATE TRIGGER effect_log_only_grows BEFORE UPDATE OR DELETE ON effect_log
            FOR EACH ROW EXECUTE FUNCTION refuse()"""
    for effect, (table, event, condition, subject, value) in EFFECTS.items():
        when = f"WHEN ({condition})" if condition else ""
        note = (
            f"INSERT INTO effect_log (effect, subject, value) VALUES ('{effect}', NEW.{subject}, NEW.{value})"  # noqa: S608  names from above
        )
        trigger = f"CREATE TRIGGER log_{effect} AFTER {event} ON {table} FOR EACH ROW {when}"
        if dialect == "sqlite":
            yield f"{trigger} BEGIN {note}; END"
        else:
            yield f"""CREATE FUNCTION note_{effect}() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN {note}; RETURN NULL; END $$"""
            yield f"{trigger} EXECUTE FUNCTION note_{effect}()"
