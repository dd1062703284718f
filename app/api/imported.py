"""Imported knowledge in memory: read from the database once, and again when a new import has other bytes."""

import threading
from collections import OrderedDict

from sqlalchemy.orm import Session

from app.metalearning.importing.knowledge import ImportedKnowledge, load
from app.store import metadatasets
from app.store.tables import MetaDataset

_MOST = 8


class ImportedCache:
    """What was learned from the meta-datasets that were asked last, by the hash of their content."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, ImportedKnowledge] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, session: Session, meta_dataset: MetaDataset) -> ImportedKnowledge:
        """The knowledge of a meta-dataset, whose row says which content is the current one."""
        content_hash = meta_dataset.content_hash
        with self._lock:
            if content_hash not in self._known:
                self._known[content_hash] = load(metadatasets.content(session, meta_dataset))
            self._known.move_to_end(content_hash)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
            return self._known[content_hash]
