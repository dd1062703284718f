"""What an algorithm is: its estimators, how it wants its data prepared, what it needs, and its search space."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.metalearning.portfolio.expressions import Call, call
from app.metalearning.portfolio.feasibility import Requirements
from app.metalearning.portfolio.preparation import ordinal_categories
from app.metalearning.portfolio.spaces import Hyperparameter, Space
from app.metalearning.table import TaskType

SEED = {"random_state": 0}
ONE_THREAD = {"n_jobs": 1, **SEED}


@dataclass(frozen=True)
class Algorithm:
    """A learning method.

    `classifier` and `regressor` are the dotted paths of scikit-learn compatible estimators; `settings` are arguments
    that every configuration shares (seed, one thread, silence); `written` has the expressions that stand for the values
    of hyperparameters that are objects in Python and names everywhere else.
    """

    name: str
    family: str
    classifier: str | None
    regressor: str | None
    settings: dict[str, Any] = field(default_factory=dict)
    hyperparameters: tuple[Hyperparameter, ...] = ()
    requirements: Requirements = field(default_factory=Requirements)
    preparation: Callable[[], Call] = ordinal_categories
    # Steps between preparation and estimator.
    expansion: tuple[Call, ...] = ()
    written: dict[str, dict[str, Call]] = field(default_factory=dict)
    scales_target: bool = False
    needs_calibration: bool = False
    interpretable: bool = False

    @property
    def task_types(self) -> tuple[TaskType, ...]:
        """The task types that the algorithm can learn."""
        paths = {TaskType.CLASSIFICATION: self.classifier, TaskType.REGRESSION: self.regressor}
        return tuple(task_type for task_type, path in paths.items() if path)

    @property
    def queue(self) -> str:
        """The queue of the workers that can run it."""
        return "gpu" if self.requirements.gpu else "cpu"

    def space(self, task_type: TaskType) -> Space:
        """The search space for a task type."""
        return Space(tuple(each for each in self.hyperparameters if each.only in (None, task_type)))

    def estimator(self, task_type: TaskType) -> str:
        """The dotted path of the estimator for a task type."""
        path = self.classifier if task_type is TaskType.CLASSIFICATION else self.regressor
        assert path is not None, f"{self.name} does not learn {task_type}"
        return path

    def arguments(self, hyperparameters: dict[str, Any]) -> dict[str, Any]:
        """The hyperparameters as arguments of the estimator: values, or expressions where values are written as such."""
        return {
            name: self.written[name][value] if name in self.written else value
            for name, value in hyperparameters.items()
        }

    def pipeline(self, task_type: TaskType, hyperparameters: dict[str, Any]) -> Call:
        """The whole pipeline, preprocessing included, as an expression."""
        estimator = call(self.estimator(task_type), **self.arguments(hyperparameters), **self.settings)
        if self.needs_calibration and task_type is TaskType.CLASSIFICATION:
            estimator = call("sklearn.calibration.CalibratedClassifierCV", estimator, ensemble=False)
        if self.scales_target and task_type is TaskType.REGRESSION:
            estimator = call(
                "sklearn.compose.TransformedTargetRegressor",
                estimator,
                transformer=call("sklearn.preprocessing.StandardScaler"),
            )
        return call("sklearn.pipeline.make_pipeline", self.preparation(), *self.expansion, estimator)
