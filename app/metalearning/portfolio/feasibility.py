"""What an algorithm needs of a dataset and of a machine, so that what cannot run is never recommended."""

from dataclasses import dataclass

# Licences under which anybody may use what a model was learned with, for any purpose.
PERMISSIVE = frozenset({"BSD-3-Clause", "MIT", "Apache-2.0"})


@dataclass(frozen=True)
class Size:
    """A dataset's size, as far as it is known: None leaves the rules about it out."""

    rows: float | None = None
    columns: float | None = None
    classes: float | None = None
    smallest_class: float | None = None  # rows of the rarest class


@dataclass(frozen=True)
class Requirements:
    """The rules of one algorithm. Limits on size are where cost or memory grow beyond what an answer in time allows."""

    most_rows: int | None = None
    most_columns: int | None = None
    most_classes: int | None = None
    fewest_rows_per_class: int = 1
    # A covariance matrix per class has full rank only where the class has more rows than there are columns.
    more_rows_per_class_than_columns: bool = False
    gpu: bool = False
    licence: str = "BSD-3-Clause"  # SPDX identifier of the library's licence
    weights: str | None = None  # where trained weights come from that the algorithm cannot do without

    def why_not(self, size: Size, *, gpu: bool) -> str | None:
        """The first reason why the algorithm cannot run, as a phrase; None where it can.

        Args:
            size: of the dataset.
            gpu: whether a worker with a GPU is there.
        """
        if self.licence not in PERMISSIVE:
            return f"its licence {self.licence} is not permissive"
        if self.weights is not None:
            return f"needs trained weights from {self.weights}"
        if self.gpu and not gpu:
            return "needs a GPU"
        for most, number, things in (
            (self.most_rows, size.rows, "rows"),
            (self.most_columns, size.columns, "columns"),
            (self.most_classes, size.classes, "classes"),
        ):
            if most is not None and number is not None and number > most:
                return f"takes too long on more than {most:,} {things}"
        return self._too_few_in_a_class(size)

    def _too_few_in_a_class(self, size: Size) -> str | None:
        if size.smallest_class is None:
            return None
        if size.smallest_class < self.fewest_rows_per_class:
            return f"needs at least {self.fewest_rows_per_class} rows of every class"
        if (
            self.more_rows_per_class_than_columns
            and size.columns is not None
            and size.smallest_class <= size.columns
        ):
            return "needs more rows of every class than there are columns"
        return None
