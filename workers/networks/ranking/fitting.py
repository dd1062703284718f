"""Fit every network that ranks on one set of evidence."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


_LOSSES, _NETWORKS = "losses.npz", "networks.npz"


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
    plans: Mapping[str, Plan] | None = None,
) -> Fitted:
    """Train each network.

    Args:
        evidence: what is known.
        names: which networks.
        folder: for checkpoints, to go on from where a run was cut off.
        follow: tells of the progress of the network that it is handed the name of.
        plans: how long each is trained, and how; as those that ship unless given.
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
        plan = (plans or PLANS)[name]
        network = seeded(make, plan.seed)
        checkpoint = None if folder is None else folder / f"{name}.pt"
        losses[name] = train(network, loss_of(network), plan, checkpoint, follow(name))
        fitted[name] = network
    return Fitted(as_served(evidence, fitted), losses)


def fit_once(
    evidence: Evidence, parts: Path, follow: Callable[[str], Follow] = lambda _: lambda steps, __: steps
) -> Fitted:
    """As `fit_networks`, all of them, unless that was done on just this evidence by just this code; a fit that was cut off goes on.

    Args:
        evidence: what is known.
        parts: a folder for what is done, and for checkpoints.
        follow: as in `fit_networks`.
    """
    part = parts / _fingerprint(evidence)
    finished = part / _NETWORKS
    if not finished.exists():
        fitted = fit_networks(evidence, part, follow=follow)
        losses: dict[str, Any] = {**fitted.losses}
        np.savez_compressed(part / _LOSSES, **losses)
        writing = finished.with_suffix(".writing")
        fitted.networks.save(writing)
        writing.replace(finished)
    with np.load(part / _LOSSES, allow_pickle=False) as kept:
        return Fitted(Networks.load(finished), {name: kept[name] for name in kept.files})


def _fingerprint(evidence: Evidence) -> str:
    """Of the evidence, and of the code that trains on it."""
    digest = hashlib.sha256()
    digest.update(repr((evidence.datasets, evidence.groups, evidence.configurations)).encode())
    for values in (evidence.metafeatures, evidence.headline_losses, *targets_of(evidence).values()):
        digest.update(np.ascontiguousarray(values).tobytes())
    here = Path(__file__).parent
    for path in (*sorted(here.glob("*.py")), here.parent / "training.py", here.parent / "maml.py"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


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
