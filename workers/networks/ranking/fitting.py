"""Fit every network that ranks on one set of evidence."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from app.metalearning.evidence import Evidence
from app.metalearning.metalearners.networks import Networks
from app.metalearning.table import FloatArray
from workers.networks.ranking.embedding import Contrast, Tower
from workers.networks.ranking.lessons import Lessons
from workers.networks.ranking.multitask import MaskedError, Shared, targets_of
from workers.networks.ranking.recurrent import Episodes, Proposer
from workers.networks.ranking.surrogate import FewResults, Network
from workers.networks.training import Follow, Loss, Plan, seeded, train

PLANS = {
    "embedding": Plan(steps=600, rate=3e-3, decay=1e-2),
    "multitask": Plan(steps=600, rate=3e-3, decay=1e-2),
    "surrogate": Plan(steps=1200, rate=3e-3, decay=1e-3),
    "recurrent": Plan(steps=1500, rate=3e-3, decay=1e-3),
}


@dataclass(frozen=True)
class Fitted:
    """The networks, and the loss of every step of each."""

    networks: Networks
    losses: dict[str, FloatArray]


def fit_networks(
    evidence: Evidence,
    folder: Path | None = None,
    names: Sequence[str] = tuple(PLANS),
    follow: Callable[[str], Follow] = lambda _: lambda steps, __: steps,
) -> Fitted:
    """Train each network.

    Args:
        evidence: what is known.
        names: which networks.
        folder: for checkpoints, to go on from where a run was cut off.
        follow: tells of the progress of the network that it is handed the name of.
    """
    lessons = Lessons.of(evidence)
    n_metafeatures, n_configurations = evidence.metafeatures.shape[1], len(evidence.configurations)
    targets = targets_of(evidence)
    makers: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module], Loss]]] = {
        "embedding": (lambda: Tower(n_metafeatures), lambda network: Contrast(network, lessons)),
        "multitask": (
            lambda: Shared(n_metafeatures, targets),
            lambda network: MaskedError(network, lessons, targets),
        ),
        "surrogate": (
            lambda: Network(n_metafeatures, n_configurations),
            lambda network: FewResults(network, lessons),
        ),
        "recurrent": (
            lambda: Proposer(n_metafeatures, n_configurations),
            lambda network: Episodes(network, lessons),
        ),
    }
    fitted, losses = {}, {}
    for name in names:
        make, loss_of = makers[name]
        plan = PLANS[name]
        network = seeded(make, plan.seed)
        checkpoint = None if folder is None else folder / f"{name}.pt"
        losses[name] = train(network, loss_of(network), plan, checkpoint, follow(name))
        fitted[name] = network
    return Fitted(as_served(evidence, fitted), losses)


def as_served(evidence: Evidence, fitted: Mapping[str, nn.Module]) -> Networks:
    """Networks that were trained on this evidence, as arrays."""
    weights = {
        name: {
            array: values.detach().cpu().numpy().astype(np.float64)
            for array, values in network.state_dict().items()
        }
        for name, network in fitted.items()
    }
    return Networks(evidence.configurations, evidence.metafeatures, weights)
