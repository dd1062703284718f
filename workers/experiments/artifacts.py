"""Loading what stacking wrote: the only place where a model is read back."""

from pathlib import Path
from typing import Any

import skops.io


def load_model(path: Path, card: dict[str, Any]) -> Any:
    """The fitted model of a card.

    Exactly the types of the card are trusted: those that the service listed when it wrote the file itself. No client ever
    supplies a file that comes here, nor a name of a type.
    """
    return skops.io.load(path, trusted=card["artifact"]["trusted_types"])
