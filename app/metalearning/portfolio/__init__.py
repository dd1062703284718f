"""What can be recommended: algorithms, their configurations, and the pipelines that these stand for."""

from app.metalearning.portfolio.algorithm import Algorithm
from app.metalearning.portfolio.algorithms import ALGORITHMS
from app.metalearning.portfolio.configurations import (
    CONFIGURATIONS,
    Configuration,
    configuration_called,
    configuration_with,
    configurations_of,
    find_configuration,
)
from app.metalearning.portfolio.feasibility import Requirements, Size

__all__ = [
    "ALGORITHMS",
    "CONFIGURATIONS",
    "Algorithm",
    "Configuration",
    "Requirements",
    "Size",
    "configuration_called",
    "configuration_with",
    "configurations_of",
    "find_configuration",
]
