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
from app.store.tables import MetaLearner

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0
_STOP_SECONDS = 5.0  # a look that takes longer waits for a database that is away
_MOST_REMEMBERED = (
    4  # fitted versions in memory: what answers, and some that recommendations are repeated with
)


class Promoted:
    """Reads knowledge that was promoted, each version once while it is asked for."""

    def __init__(self) -> None:
        self.shipped = knowledge.load_knowledge()
        self._read: OrderedDict[str, Knowledge | None] = OrderedDict()  # None: cannot be read
        self._lock = threading.Lock()

    def now(self, session: Session, task_type: TaskType) -> Knowledge:
        """What answers for the task type: what ships, where what was promoted cannot be read any more."""
        learner = promotions.current(session, task_type)
        found = None if learner is None else self._of_learner(session, learner)
        return found or self.shipped[task_type]

    def of_version(self, session: Session, task_type: TaskType, version: str) -> Knowledge | None:
        """The knowledge of this version, while it is there: what ships, or what was fitted once."""
        if version == self.shipped[task_type].version:
            return self.shipped[task_type]
        learner = promotions.fitted(session, version)
        return None if learner is None else self._of_learner(session, learner)

    def _of_learner(self, session: Session, learner: MetaLearner) -> Knowledge | None:
        content_hash = learner.content_hash
        if content_hash is None:
            return None
        with self._lock:
            if content_hash not in self._read:
                content = b"".join(blobs.chunks(session, content_hash))
                if not content:
                    return None  # it was withdrawn right now
                self._read[content_hash] = _understood(content)
            self._read.move_to_end(content_hash)
            while len(self._read) > _MOST_REMEMBERED:
                self._read.popitem(last=False)
            return self._read[content_hash]


def _understood(content: bytes) -> Knowledge | None:
    """What was stored; None where that was in a format that nobody reads any more."""
    try:
        return knowledge.read(content)
    except knowledge.OutdatedKnowledgeError as error:
        log.warning("knowledge_outdated", error=str(error))
        return None


class Following(Mapping[TaskType, Knowledge]):
    """Task type → the knowledge that answers, as of the last look: two seconds ago at most, unless the database is away."""

    def __init__(self, database: Database) -> None:
        self.promoted = Promoted()
        self._database = database
        self._now = dict(self.promoted.shipped)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_until_over, name="following", daemon=True)

    def __getitem__(self, task_type: TaskType) -> Knowledge:
        return self._now[task_type]

    def __iter__(self) -> Iterator[TaskType]:
        return iter(self._now)

    def __len__(self) -> int:
        return len(self._now)

    def start(self) -> None:
        """Look now, and again and again until `stop`."""
        self._look_and_bear()
        self._thread.start()

    def stop(self) -> None:
        """Look no more, from now on."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def look(self) -> None:
        """Take over what was promoted since the last look.

        Raises: SQLAlchemyError.
        """
        with self._database.read() as session:
            for task_type in TaskType:
                try:
                    found = self.promoted.now(session, task_type)
                except SQLAlchemyError:
                    raise
                except Exception:
                    # The other task type's may be sound; here what answered before goes on answering.
                    log.exception("could_not_take_over_knowledge", task_type=str(task_type))
                    continue
                if found.version != self._now[task_type].version:
                    log.info("knowledge_changed", task_type=str(task_type), version=found.version)
                self._now[task_type] = found

    def _look_until_over(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._look_and_bear()

    def _look_and_bear(self) -> None:
        """Where the database is away, what answered before goes on answering."""
        try:
            self.look()
        except SQLAlchemyError as error:
            log.warning("could_not_look_for_promotions", error=cause_of(error))
        except Exception:
            log.exception("could_not_look_for_promotions")  # the next look may do better
