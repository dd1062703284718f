"""The functions that children run, in one module for the forkserver to import beforehand."""

from workers.experiments.evaluation import measure
from workers.experiments.exporting.child import export
from workers.experiments.predicting import predict
from workers.experiments.search.proposing import propose
from workers.experiments.stacking import stack
from workers.training.retraining import retrain

__all__ = ["export", "measure", "predict", "propose", "retrain", "stack"]
