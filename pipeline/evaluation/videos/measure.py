"""All figures of all results of a method, clip by clip."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.analysis import detectors
from pipeline.evaluation.videos import seams
from pipeline.evaluation.videos.cases import VideoCase
from pipeline.evaluation.videos.clip import Clip, Figure, open_clip
from pipeline.evaluation.videos.gauges import (
    Gauge,
    OutsideFlicker,
    Seams,
    StillFlicker,
    TruthError,
    stream,
)
from pipeline.evaluation.videos.gesture_figures import gesture_figures
from pipeline.evaluation.videos.lip_figures import lip_figures
from pipeline.evaluation.videos.network_figures import Perceived, identity_gauge, sync_figures
from pipeline.evaluation.videos.networks import Networks
from pipeline.evaluation.videos.pose_figures import pose_figures
from pipeline.evaluation.videos.reenacted import reenacted_figures
from pipeline.evaluation.videos.rows import ClipFigures
from pipeline.models import sync_mini

FPS = 25.0  # at which all methods are measured, whatever rate their videos have

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How videos are measured.

    Args:
        fps: The rate at which every video is read, by the frame that is on screen.
        detector: The name of the detector of all key points.
    """

    fps: float = FPS
    detector: str = detectors.DEFAULT


def measure(cases: Sequence[VideoCase], options: Options, networks: Networks) -> list[ClipFigures]:
    """Return the figures of every case."""
    network = sync_mini.shipped()
    measured = []
    for number, case in enumerate(cases):
        log.info("video %d of %d: %s", number + 1, len(cases), case.video)
        clip = open_clip(case, options.fps, options.detector)
        figures = {
            **pose_figures(clip),
            **gesture_figures(clip),
            **lip_figures(clip, network),
            **sync_figures(clip, networks),
            **picture_figures(clip, networks, options.detector),
            **reenacted_figures(clip),
        }
        measured.append(ClipFigures(case.name, len(clip), figures))
    return measured


def picture_figures(clip: Clip, networks: Networks, detector: str) -> dict[str, Figure]:
    """Return all figures that one pass over the frames gives."""
    frames = len(clip)
    borders = seams.borders(clip.case.settings, frames, clip.fps)
    gauges: list[Gauge] = [
        OutsideFlicker(clip.pose),
        StillFlicker(frames),
        Seams(frames, borders),
        TruthError(frames),
        Perceived(frames, networks.lpips),
    ]
    identity = identity_gauge(clip, networks, detector)
    if isinstance(identity, dict):
        return {**stream(clip, gauges), **identity}
    return stream(clip, [*gauges, identity])
