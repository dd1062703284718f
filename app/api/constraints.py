"""What a request may demand of the configurations it is told of."""

from typing import Annotated

from pydantic import Field

from app.api.schemas import RequestModel
from app.metalearning.constraints import Constraints

Names = Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=100)]


class ConstraintsRequest(RequestModel):
    """Whatever is not given excludes nothing; costs are those predicted for the dataset."""

    algorithms: Names = Field(default_factory=list, description="Only these (`GET /algorithms`).")
    families: Names = Field(default_factory=list, description="Only of these families.")
    without_algorithms: Names = Field(default_factory=list, description="None of these.")
    without_families: Names = Field(default_factory=list, description="None of these families.")
    interpretable_only: bool = Field(default=False, description="Only models that a person can read.")
    max_fit_cpu_seconds: float | None = Field(default=None, gt=0, description="Of one fit on all rows.")
    max_predict_cpu_seconds_per_1000_rows: float | None = Field(default=None, gt=0)
    max_memory_bytes: float | None = Field(default=None, gt=0, description="At the peak of fitting.")

    def as_constraints(self) -> Constraints:
        """The same for the science.

        Raises: InvalidRequestError.
        """
        return Constraints(
            algorithms=frozenset(self.algorithms),
            families=frozenset(self.families),
            without_algorithms=frozenset(self.without_algorithms),
            without_families=frozenset(self.without_families),
            interpretable_only=self.interpretable_only,
            max_fit_cpu_seconds=self.max_fit_cpu_seconds,
            max_predict_cpu_seconds_per_1000_rows=self.max_predict_cpu_seconds_per_1000_rows,
            max_memory_bytes=self.max_memory_bytes,
        )
