"""What can be recommended: algorithms, their configurations, and the pipelines that these stand for."""

from app.metalearning.portfolio.algorithms import ALGORITHMS, Algorithm
from app.metalearning.portfolio.configurations import (
    CONFIGURATIONS,
    Configuration,
    configurations_of,
    find_configuration,
)

__all__ = [
    "ALGORITHMS",
    "CONFIGURATIONS",
    "Algorithm",
    "Configuration",
    "configurations_of",
    "find_configuration",
]
