"""What published networks say of one result: Sync-C and Sync-D, CSIM, LPIPS."""

from __future__ import annotations

import math

import numpy as np

from pipeline import media
from pipeline.analysis.framing import detect_reference
from pipeline.evaluation.metrics.identity import IdentityEmbedder, embed_frame, similarity
from pipeline.evaluation.metrics.lip_sync import SyncFigures, SyncNetEmbedder, sync_by_pixels
from pipeline.evaluation.mini.figures import mean
from pipeline.evaluation.videos.clip import NO_SOUND, NO_TRUTH, Clip, Figure, figure
from pipeline.evaluation.videos.gauges import frames_of
from pipeline.evaluation.videos.networks import Missing, Networks
from pipeline.models import syncnet
from pipeline.models.lpips import Lpips
from pipeline.motion import timing
from pipeline.values import InputError, Pose

FRAME_STEP = 5  # CSIM and LPIPS look at every fifth frame: neighbors tell the same
NO_TRACK = "no face is seen for two seconds together with sound"
NO_FACE = "no frame shows a face"
NO_REFERENCE = "no reference image is known; give --references"
SYNC_ROWS = (
    "Sync-C",
    "Sync-D",
    "Sync-C, valid overlaps",
    "Sync-D, valid overlaps",
    "Sync offset, frames the sound is early",
)
CSIM_ROWS = ("CSIM", "CSIM, 5th percentile", "CSIM, frames without a face")


def nothing(names: tuple[str, ...], why: str) -> dict[str, Figure]:
    """Return rows without a value."""
    return {name: Figure(math.nan, why=why) for name in names}


# ---- SyncNet


def sync_figures(clip: Clip, networks: Networks) -> dict[str, Figure]:
    """Return Sync-C and Sync-D of a clip, padded as published and on valid overlaps."""
    embedder = networks.sync
    if isinstance(embedder, Missing):
        return nothing(SYNC_ROWS, embedder.why)
    if clip.audio is None:
        return nothing(SYNC_ROWS, NO_SOUND)
    try:
        figures = _sync(clip, embedder, clip.audio.samples)
    except InputError as error:
        return nothing(SYNC_ROWS, str(error))
    padded = figures.mean("padded")
    valid = figures.mean("valid")
    if padded is None or valid is None:
        return nothing(SYNC_ROWS, NO_TRACK)
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


def _sync(clip: Clip, embedder: SyncNetEmbedder, samples: np.ndarray) -> SyncFigures:
    """Score the faces of a clip at SyncNet's rate."""
    pose = timing.resample(clip.pose, syncnet.FPS)
    frames = frames_of(clip.case.video, syncnet.FPS)
    return sync_by_pixels(embedder, frames, pose.face, pose.size, samples)


# ---- CSIM


class Identity:
    """A gauge of CSIM: the reference's face in every fifth frame."""

    def __init__(self, clip: Clip, embedder: IdentityEmbedder, reference: np.ndarray) -> None:
        self.pose = clip.pose
        self.embedder = embedder
        self.reference = reference
        self.embeddings: list[np.ndarray | None] = []

    def look(self, row: int, frame: np.ndarray, truth: np.ndarray | None) -> None:
        """Embed the face of every fifth frame."""
        if row % FRAME_STEP == 0 and row < len(self.pose):
            face = self.pose.face[row : row + 1]
            self.embeddings.append(embed_frame(self.embedder, frame, face))

    def figures(self) -> dict[str, Figure]:
        """Return CSIM, its low end, and the share of frames without a face."""
        found = similarity(self.reference, self.embeddings)
        total = len(self.embeddings)
        values = (found.mean, found.low, found.missing)
        measured = (found.frames, found.frames, total)
        rows = zip(CSIM_ROWS, values, measured, strict=True)
        return {name: figure(value, frames, total, NO_FACE) for name, value, frames in rows}


def identity_gauge(clip: Clip, networks: Networks, detector: str) -> Identity | dict[str, Figure]:
    """Return the gauge of CSIM, or its rows with the reason where there is none."""
    embedder = networks.identity
    if isinstance(embedder, Missing):
        return nothing(CSIM_ROWS, embedder.why)
    if clip.case.reference is None:
        return nothing(CSIM_ROWS, NO_REFERENCE)
    try:
        picture = media.read_image(clip.case.reference)
        person: Pose = detect_reference(picture, detector).people[0]
        reference = embed_frame(embedder, picture, person.face)
    except InputError as error:
        return nothing(CSIM_ROWS, str(error))
    if reference is None:
        return nothing(CSIM_ROWS, NO_FACE)
    return Identity(clip, embedder, reference)


# ---- LPIPS


class Perceived:
    """A gauge of LPIPS beside the truth, in every fifth frame."""

    def __init__(self, frames: int, network: Lpips | Missing) -> None:
        self.frames = frames
        self.network = network
        self.why = network.why if isinstance(network, Missing) else NO_TRUTH
        self.values: list[float] = []

    def look(self, row: int, frame: np.ndarray, truth: np.ndarray | None) -> None:
        """Compare every fifth frame with the true one."""
        if isinstance(self.network, Missing) or truth is None or row % FRAME_STEP:
            return
        try:
            distance = self.network.distance(frame, truth)
        except InputError as error:
            self.why = str(error)
        else:
            self.values.append(distance)

    def figures(self) -> dict[str, Figure]:
        """Return the mean."""
        looked_at = math.ceil(self.frames / FRAME_STEP)
        return {"LPIPS": figure(mean(self.values), len(self.values), looked_at, self.why)}
