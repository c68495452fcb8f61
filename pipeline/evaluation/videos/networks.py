"""The networks that measure: those whose weights are here, and why the others are not.

A row whose network is absent is null with the reason and the command that fetches it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pipeline.evaluation.metrics.identity import IdentityEmbedder
from pipeline.evaluation.metrics.lip_sync import SyncNetEmbedder
from pipeline.evaluation.metrics.video_features import ClipNetwork, PictureNetwork
from pipeline.models.i3d import I3D, TorchScriptI3D
from pipeline.models.inception import Inception
from pipeline.models.lpips import Lpips
from pipeline.models.measuring_weights import (
    Weights,
    WeightsMissing,
    find_weights,
    own_weights,
)
from pipeline.models.syncnet import SyncNet

Network = TypeVar("Network")


@dataclass(frozen=True)
class Missing:
    """A network that is not here: why, with the command that fetches it."""

    why: str


@dataclass(frozen=True)
class Networks:
    """All networks that measure, each as far as its weights are here.

    Args:
        sync: SyncNet, for Sync-C and Sync-D.
        identity: An embedding of faces, for CSIM.
        lpips: For LPIPS.
        pictures: Inception, for FID.
        clips: I3D, for FVD.
        checksums: SHA-256 of the weights in use, by set and file.
    """

    sync: SyncNetEmbedder | Missing
    identity: IdentityEmbedder | Missing
    lpips: Lpips | Missing
    pictures: PictureNetwork | Missing
    clips: ClipNetwork | Missing
    checksums: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def open_networks(identity: Path | None = None) -> Networks:
    """Load every network whose weights are installed; `identity` is the user's own ONNX file.

    Raises InputError for weights that are damaged.
    """
    checksums: dict[str, Mapping[str, str]] = {}

    def opened(
        makers: Mapping[str, Callable[[Weights], Network]],
    ) -> Network | Missing:
        """Return the first network of several sets that is here."""
        reasons = []
        for name, make in makers.items():
            found = find_weights(name)
            if isinstance(found, WeightsMissing):
                reasons.append(found.reason)
                continue
            checksums[found.name] = found.checksums
            return make(found)
        return Missing(reasons[0])

    embedder: IdentityEmbedder | Missing
    if identity is None:
        embedder = opened({"arcface": IdentityEmbedder.of, "sface": IdentityEmbedder.of})
    else:
        own = own_weights("identity", identity)
        checksums[own.name] = own.checksums
        embedder = IdentityEmbedder.of(own)
    return Networks(
        sync=opened({"syncnet": _sync}),
        identity=embedder,
        lpips=opened({"lpips-alex": _lpips}),
        pictures=opened({"inception-fid": _inception}),
        clips=opened({"i3d": _i3d, "i3d-torchscript": _i3d_program}),
        checksums=checksums,
    )


def _sync(weights: Weights) -> SyncNetEmbedder:
    """Return SyncNet."""
    network = SyncNet.from_published(weights.paths["syncnet"])
    return SyncNetEmbedder(network)


def _lpips(weights: Weights) -> Lpips:
    """Return LPIPS."""
    return Lpips.from_published(weights.name, weights.paths)


def _inception(weights: Weights) -> Inception:
    """Return FID's network."""
    return Inception.from_published(weights.paths["inception"])


def _i3d(weights: Weights) -> I3D:
    """Return FVD's network from a table of tensors."""
    return I3D.from_published(weights.paths["i3d"])


def _i3d_program(weights: Weights) -> TorchScriptI3D:
    """Return FVD's network from a program."""
    return TorchScriptI3D(weights.paths["i3d"])
