"""Naive Bayes and Gaussian processes."""

from app.metalearning.portfolio.algorithm import SEED, Algorithm
from app.metalearning.portfolio.expressions import Call, call
from app.metalearning.portfolio.feasibility import Requirements
from app.metalearning.portfolio.preparation import scaled_numbers
from app.metalearning.portfolio.spaces import Choice, Real
from app.metalearning.table import TaskType

_KERNELS = "sklearn.gaussian_process.kernels"


def _scaled(kernel: str, **settings: float) -> Call:
    """A kernel times a variance; both are fitted by marginal likelihood, from a length that suits scaled columns."""
    variance = call(f"{_KERNELS}.ConstantKernel", 1.0)
    return call(f"{_KERNELS}.Product", variance, call(f"{_KERNELS}.{kernel}", length_scale=3.0, **settings))


PROBABILISTIC = (
    Algorithm(
        "gaussian_nb",
        "naive_bayes",
        "sklearn.naive_bayes.GaussianNB",
        None,
        hyperparameters=(Real("var_smoothing", 1e-12, 1.0, log=True, default=1e-9),),
        preparation=scaled_numbers,
        interpretable=True,
    ),
    Algorithm(
        "gaussian_process",
        "gaussian_process",
        "sklearn.gaussian_process.GaussianProcessClassifier",
        "sklearn.gaussian_process.GaussianProcessRegressor",
        SEED,
        hyperparameters=(
            Choice("kernel", ("rbf", "matern", "rational_quadratic")),
            Real("alpha", 1e-6, 1.0, log=True, default=1e-10, only=TaskType.REGRESSION),
        ),
        # Cubic in the rows, many times over while the kernel is fitted, and once per class.
        requirements=Requirements(most_rows=1_000, most_classes=10),
        preparation=scaled_numbers,
        written={
            "kernel": {
                "rbf": _scaled("RBF"),
                "matern": _scaled("Matern", nu=1.5),
                "rational_quadratic": _scaled("RationalQuadratic"),
            }
        },
        scales_target=True,
    ),
)
