"""The networks that measure: those whose weights are here, and why the others are not.

A row whose network is absent is null with the reason and the command that fetches it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from pipeline.evaluation.metrics import lip_sync
from pipeline.evaluation.videos.clip import NO_SOUND, Clip, Figure, figure
from pipeline.evaluation.videos.gauges import frames_of
from pipeline.models import syncnet
from pipeline.models.measuring_weights import Weights, WeightsMissing, find_weights
from pipeline.motion import timing
from pipeline.values import InputError

NO_TRACK = "no face is seen for two seconds together with sound"
SYNC_ROWS = (
    "Sync-C",
    "Sync-D",
    "Sync-C, valid overlaps",
    "Sync-D, valid overlaps",
    "Sync-C offset, frames",
)


@dataclass
class Networks:
    """Networks by the names of their model sets, as far as they are here.

    Args:
        sync: SyncNet, or why it is not here.
        checksums: SHA-256 of all weights in use, by set and file.
    """

    sync: lip_sync.SyncNetEmbedder | str
    checksums: dict[str, dict[str, str]] = field(default_factory=dict)


def open_networks() -> Networks:
    """Load every network whose weights are installed."""
    checksums = {}
    found = find_weights("syncnet")
    if isinstance(found, WeightsMissing):
        return Networks(found.reason, checksums)
    checksums[found.name] = dict(found.checksums)
    return Networks(_sync(found), checksums)


def _sync(weights: Weights) -> lip_sync.SyncNetEmbedder:
    """Return SyncNet."""
    network = syncnet.SyncNet.from_published(weights.paths["syncnet"])
    return lip_sync.SyncNetEmbedder(network)


def sync_figures(clip: Clip, networks: Networks) -> dict[str, Figure]:
    """Return Sync-C and Sync-D of a clip, padded as published and on valid overlaps."""
    why = ""
    figures = None
    if isinstance(networks.sync, str):
        why = networks.sync
    elif clip.audio is None:
        why = NO_SOUND
    else:
        pose = timing.resample(clip.pose, syncnet.FPS)
        frames = frames_of(clip.case.video, syncnet.FPS)
        try:
            figures = lip_sync.sync_by_pixels(
                networks.sync, frames, pose.face, pose.size, clip.audio.samples
            )
        except InputError as error:
            why = str(error)
    padded = None if figures is None else figures.mean("padded")
    valid = None if figures is None else figures.mean("valid")
    if figures is None or padded is None or valid is None:
        return {name: Figure(math.nan, why=why or NO_TRACK) for name in SYNC_ROWS}
    values = (
        padded.confidence,
        padded.distance,
        valid.confidence,
        valid.distance,
        padded.offset_frames,
    )
    covered = round(figures.coverage * len(clip))
    rows = zip(SYNC_ROWS, values, strict=True)
    return {name: figure(value, covered, len(clip)) for name, value in rows}
