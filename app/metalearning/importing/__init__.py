"""Meta-datasets that others measured, of any algorithms: ASlib scenarios and performance matrices, in and out."""

from app.metalearning.importing.aslib import read_scenario
from app.metalearning.importing.aslib_writing import write_scenario
from app.metalearning.importing.matrix import Measure, PerformanceMatrix
from app.metalearning.importing.performance_matrix import read_matrix, write_matrix

__all__ = [
    "Measure",
    "PerformanceMatrix",
    "read_matrix",
    "read_scenario",
    "write_matrix",
    "write_scenario",
]
