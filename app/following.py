"""What answers now: the knowledge that ships, or what was promoted since. Every process that answers looks by itself."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.metalearning import knowledge
from app.metalearning.knowledge import Knowledge
from app.metalearning.table import TaskType
from app.store import blobs, promotions
from app.store.database import Database, cause_of

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0
_MOST_REMEMBERED = (
    4  # fitted versions in memory: what answers, and some that recommendations are repeated with
)


class Promoted:
    """Reads knowledge that was promoted, each version once while it is asked for."""

    def __init__(self) -> None:
        self.shipped = knowledge.load_knowledge()
        self._read: OrderedDict[str, Knowledge] = OrderedDict()
        self._lock = threading.Lock()

    def now(self, session: Session, task_type: TaskType) -> Knowledge:
        """What answers for the task type. What was fitted beside other shipped evidence than today's is out of date."""
        shipped, learner = self.shipped[task_type], promotions.current(session, task_type)
        if learner is None or learner.content_hash is None or learner.shipped != shipped.version:
            return shipped
        return self._of_content(session, learner.content_hash)

    def of_version(self, session: Session, task_type: TaskType, version: str) -> Knowledge | None:
        """The knowledge of this version, while it is there: what ships, or what was fitted once."""
        if version == self.shipped[task_type].version:
            return self.shipped[task_type]
        learner = promotions.fitted(session, version)
        if learner is None or learner.content_hash is None:
            return None
        return self._of_content(session, learner.content_hash)

    def _of_content(self, session: Session, content_hash: str) -> Knowledge:
        with self._lock:
            if content_hash not in self._read:
                self._read[content_hash] = knowledge.read(b"".join(blobs.chunks(session, content_hash)))
            self._read.move_to_end(content_hash)
            while len(self._read) > _MOST_REMEMBERED:
                self._read.popitem(last=False)
            return self._read[content_hash]


class Following(Mapping[TaskType, Knowledge]):
    """Task type → the knowledge that answers, as of the last look: two seconds ago at most, unless the database is away."""

    def __init__(self, database: Database) -> None:
        self.promoted = Promoted()
        self._database = database
        self._now = dict(self.promoted.shipped)
        self._over = threading.Event()

    def __getitem__(self, task_type: TaskType) -> Knowledge:
        return self._now[task_type]

    def __iter__(self) -> Iterator[TaskType]:
        return iter(self._now)

    def __len__(self) -> int:
        return len(self._now)

    def start(self) -> None:
        """Look now, and again and again until `stop`."""
        self._look_and_bear()
        threading.Thread(target=self._look_until_over, name="following", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()

    def look(self) -> None:
        """Take over what was promoted since the last look.

        Raises: SQLAlchemyError.
        """
        with self._database.read() as session:
            found = {task_type: self.promoted.now(session, task_type) for task_type in TaskType}
        for task_type, each in found.items():
            if each.version != self._now[task_type].version:
                log.info("knowledge_changed", task_type=str(task_type), version=each.version)
        self._now = found

    def _look_until_over(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._look_and_bear()

    def _look_and_bear(self) -> None:
        """Whatever is wrong, what answered before goes on answering."""
        try:
            self.look()
        except SQLAlchemyError as error:
            log.warning("could_not_look_for_promotions", error=cause_of(error))
        except Exception:
            log.exception("could_not_take_over_knowledge")
