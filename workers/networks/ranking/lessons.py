"""A meta-dataset as tensors: what networks that rank are trained on."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from app.metalearning.baselines import WORST_REGRET
from app.metalearning.evidence import Evidence
from app.metalearning.scaling import QuantileScale
from app.metalearning.table import FloatArray
from workers.networks.training import device

_FORGOTTEN = 0.2  # the share of metafeatures that a network does not see in a step of training


@dataclass(frozen=True)
class Lessons:
    """The evidence, a row per dataset."""

    evidence: Evidence
    inputs: Tensor  # (D, M): scaled metafeatures around 0
    regret: Tensor  # (D, C), a gap is the configuration's mean
    same_group: Tensor  # (D, D), whether two datasets are nearly the same, or one

    @classmethod
    def of(cls, evidence: Evidence) -> "Lessons":
        """From arrays."""
        scaled = QuantileScale(evidence.metafeatures).scaled_known - 0.5
        mean = np.nan_to_num(np.nanmean(evidence.regret, axis=0), nan=WORST_REGRET)
        groups = np.array(evidence.groups)
        return cls(
            evidence,
            as_tensor(scaled),
            as_tensor(np.where(np.isnan(evidence.regret), mean, evidence.regret)),
            torch.as_tensor(groups[:, None] == groups, device=device()),
        )

    def seen(self, generator: torch.Generator, rows: Tensor | None = None) -> Tensor:
        """Scaled metafeatures of which some are forgotten, as if nobody had told them; others in every step.

        Args:
            generator: draws what is forgotten.
            rows: which datasets, each as often as it is named; all unless given.
        """
        inputs = self.inputs if rows is None else self.inputs[rows]
        kept = torch.rand(inputs.shape, generator=generator) >= _FORGOTTEN
        return inputs * kept.to(inputs.device)


def as_tensor(values: FloatArray) -> Tensor:
    """On the device, in single precision."""
    return torch.as_tensor(values, dtype=torch.float32, device=device())
