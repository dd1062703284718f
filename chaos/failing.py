"""Every failpoint with every action: a process dies, a step fails or takes long, just before and just after it is taken.

The cases are dealt to the set-ups, so that together they see all of them; what only a broker has is seen where there is one.
"""

import itertools
import threading
import time
from dataclasses import dataclass, field

from app import failpoints
from app.failpoints import MOMENTS, Step
from chaos import oracle, processes
from chaos.load import load
from chaos.report import Report
from chaos.service import REDIS, SETUPS, Service
from chaos.triggers import OTHER, Triggers
from tests.deployments import wait_until
from tests.receivers import Receiver, receiver

ACTIONS = ("kill", "error", "delay 1")
CASES = tuple(itertools.product(Step, MOMENTS, ACTIONS))
_SECONDS = 240.0  # what leads there may have to wait its turn behind the load
_REACHED_SECONDS = {
    Step.IMPORT_META_DATASET: 300.0,  # a command that has much to load
    # A sender that was killed keeps its webhook until its lease is over.
    **dict.fromkeys((Step.CLAIM_DELIVERY, Step.SEND_DELIVERY, Step.SETTLE_DELIVERY), _SECONDS),
}
_DIED_SECONDS = 1.0
_DONE_SECONDS = 300.0  # a key that a dead process claimed ends by itself, and so does its lease of a delivery

Case = tuple[Step, str, str]


def share(setup: str) -> list[Case]:
    """The cases that are dealt to this set-up: of each step and moment one action."""
    return [
        case
        for number, case in enumerate(CASES)
        if setup
        == (REDIS if case[0] is Step.RING else SETUPS[(number + number // len(ACTIONS)) % len(SETUPS)])
    ]


def dealt(setup: str, count: int) -> list[Case]:
    """So many cases: the set-up's share, and then those of the others."""
    mine = share(setup)
    others = [case for case in CASES if case not in mine and case[0] is not Step.RING]
    return [*mine, *others][:count]


def break_steps(service: Service, count: int, report: Report) -> None:
    """Arm one failpoint after another under load, lead the service to it, and start again what died."""
    with receiver() as hearing:  # until the last message was delivered
        with load(service, outstanding=4) as submitting:
            triggers = Triggers(service, hearing.url)
            scene = _Scene(service, report, triggers)
            first = oracle.last_entry(service)
            for case in dealt(service.setup, count):
                scene.perform(case)
            scene.finish()
        _check_deliveries(triggers, report, hearing, first)
    oracle.check(service, report, submitting)


@dataclass
class _Scene:
    service: Service
    report: Report
    triggers: Triggers
    _acting: list[threading.Thread] = field(default_factory=list)

    def perform(self, case: Case) -> None:
        step, moment, action = case
        armed = failpoints.arm(self.service.failpoints, step, moment, action)
        self._act(step)
        began = time.monotonic()
        while armed.exists() and time.monotonic() - began < _REACHED_SECONDS.get(step, _SECONDS):
            self._revive()
            time.sleep(0.02)
        self.report.demand(not armed.exists(), f"nobody came to {step}.{moment} to {action}")
        armed.unlink(missing_ok=True)
        self.report.add(f"cases of {action.partition(' ')[0]}")
        if action == "kill":
            self._wait_for_death()

    def finish(self) -> None:
        """Wait until everybody who asked for something has an answer."""
        deadline = time.monotonic() + _DONE_SECONDS
        while any(thread.is_alive() for thread in self._acting) and time.monotonic() < deadline:
            self._revive()
            time.sleep(0.1)
        self.report.demand_none(
            (thread.name for thread in self._acting if thread.is_alive()), "asked and never answered"
        )

    def _act(self, step: Step) -> None:
        def act() -> None:
            try:
                self.triggers.of(step)()
            except Exception as error:  # noqa: BLE001  whatever it is, the report is where it is read
                self.report.demand(False, f"what leads to {step} failed: {error!r}")

        thread = threading.Thread(target=act, name=step, daemon=True)
        thread.start()
        self._acting.append(thread)

    def _wait_for_death(self) -> None:
        """Start again who died, if it is one of those that nobody else starts again."""
        deadline = time.monotonic() + _DIED_SECONDS
        while not self._revive() and time.monotonic() < deadline:
            time.sleep(0.02)
        wait_until(lambda: len(self.service.seen()) > 1, _SECONDS)

    def _revive(self) -> bool:
        """Whether somebody had died."""
        service, died = self.service, False
        if service.api is not None and processes.is_over(service.api.pid):
            self.report.add("times that the API died")
            service.api.wait()
            service.start_api()
            died = True
        for worker in service.workers:
            if processes.is_over(worker.pid):
                self.report.add("times that a worker died or was stopped")
                service.restart_worker(worker)
                died = True
        return died


def _check_deliveries(triggers: Triggers, report: Report, hearing: Receiver, first: int) -> None:
    """Whoever listens heard of every end, once or more often, always under the same id."""
    service = triggers.service
    try:
        wait_until(lambda: not triggers.send_again(), _DONE_SECONDS, every=1.0)
    except AssertionError:
        report.demand_none(triggers.send_again(), "deliveries that do not end")
    ended = {entry.subject for entry in oracle.effects(service, "job_ended", after=first)}
    heard: dict[str, set[str]] = {}
    for each in [each for each in hearing.received if not each.path.endswith(OTHER)]:
        heard.setdefault(each.message["data"].get("job_id", ""), set()).add(each.id)
    heard.pop("", None)
    report.add("ends that a webhook heard of", len(ended & heard.keys()))
    report.demand_none(ended - heard.keys(), "ends that the webhook never heard of")
    report.demand_none((job for job, ids in heard.items() if len(ids) > 1), "ends under more than one id")
