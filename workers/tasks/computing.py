"""The functions that children run many times a job, or while somebody waits, in one module for the forkserver to import beforehand.

What runs once a job or more seldom (exporting, retraining) is imported by its own child: every start of a worker would
pay for it.
"""

from workers.experiments.evaluation import measure
from workers.experiments.fewshot.answering import classify
from workers.experiments.predicting import predict
from workers.experiments.search.proposing import propose
from workers.experiments.stacking import stack

__all__ = ["classify", "measure", "predict", "propose", "stack"]
