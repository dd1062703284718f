"""The algorithms of the portfolio, one file per kind."""

from app.metalearning.portfolio.algorithms.boosting import BOOSTING
from app.metalearning.portfolio.algorithms.kernels import KERNELS
from app.metalearning.portfolio.algorithms.linear import LINEAR
from app.metalearning.portfolio.algorithms.networks import NETWORKS
from app.metalearning.portfolio.algorithms.probabilistic import PROBABILISTIC
from app.metalearning.portfolio.algorithms.trees import TREES

ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (*LINEAR, *PROBABILISTIC, *KERNELS, *TREES, *BOOSTING, *NETWORKS)
}
