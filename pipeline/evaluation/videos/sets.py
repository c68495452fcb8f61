"""FID and FVD: how far all results of a method are from real videos, as sets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.evaluation.metrics import video_features
from pipeline.evaluation.metrics.frechet import RunningStatistics, distance_of
from pipeline.evaluation.metrics.video_features import ClipRule
from pipeline.evaluation.videos.cases import VIDEO_ENDINGS
from pipeline.evaluation.videos.gauges import frames_of
from pipeline.evaluation.videos.networks import Missing, Networks
from pipeline.evaluation.videos.rows import VideoRow
from pipeline.values import InputError

FRAME_STEP = 5  # FID looks at every fifth frame: neighbors are no further samples
RULE = ClipRule()
NO_REAL = "no real videos are known; give --real FOLDER"
TOO_FEW = "too few frames or clips for a covariance"
FLOOR = "real half against real half"


@dataclass(frozen=True)
class SetStatistics:
    """What the networks see of a set of videos.

    Args:
        videos: Their number.
        pictures: Of single frames, for FID.
        clips: Of clips, for FVD.
    """

    videos: int
    pictures: RunningStatistics
    clips: RunningStatistics


@dataclass(frozen=True)
class RealVideos:
    """Real videos, and both halves of them, every second video each."""

    whole: SetStatistics
    halves: tuple[SetStatistics, SetStatistics]


Statistics = Callable[[], RunningStatistics]


def set_statistics(
    paths: Sequence[Path],
    networks: Networks,
    fps: float,
    fid: Statistics = video_features.fid_statistics,
    fvd: Statistics = video_features.fvd_statistics,
) -> SetStatistics:
    """Return what the networks that are here see of videos at `fps`."""
    pictures = fid()
    clips = fvd()
    for path in paths:
        if not isinstance(networks.pictures, Missing):
            some = itertools.islice(frames_of(path, fps), 0, None, FRAME_STEP)
            video_features.add_pictures(pictures, networks.pictures, some)
        if not isinstance(networks.clips, Missing):
            video_features.add_clips(clips, networks.clips, frames_of(path, fps), RULE)
    return SetStatistics(len(paths), pictures, clips)


def real_videos(folder: Path, networks: Networks, fps: float) -> RealVideos:
    """Return what the networks see of all videos of a folder and the folders in it.

    Raises InputError where there are fewer than two.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in VIDEO_ENDINGS]
    if len(files) < 2:
        raise InputError(f"--real {folder} holds {len(files)} videos; give a folder with more")
    one = set_statistics(files[::2], networks, fps)
    other = set_statistics(files[1::2], networks, fps)
    return RealVideos(merged(one, other), (one, other))


def merged(one: SetStatistics, other: SetStatistics) -> SetStatistics:
    """Return what is seen of two sets together."""
    return SetStatistics(
        one.videos + other.videos,
        _merged(one.pictures, other.pictures),
        _merged(one.clips, other.clips),
    )


def _merged(one: RunningStatistics, other: RunningStatistics) -> RunningStatistics:
    """Return the statistics of two sets together."""
    both = RunningStatistics(len(one.mean))
    both.merge(one)
    both.merge(other)
    return both


def set_rows(
    results: SetStatistics | None, real: RealVideos | None, networks: Networks, fps: float
) -> list[VideoRow]:
    """Return FID and FVD, and those of both halves of the real videos, the floor to read them by.

    They have no interval: resampled videos repeat, which both take for less variety.
    """
    rows = []
    for name, part, network in (
        ("FID", "pictures", networks.pictures),
        ("FVD", "clips", networks.clips),
    ):
        if isinstance(network, Missing):
            rows.append(VideoRow(name, math.nan, why=network.why, fps=fps))
        elif real is None or results is None:
            rows.append(VideoRow(name, math.nan, why=NO_REAL, fps=fps))
        else:
            one, other = real.halves
            rows.append(_row(name, results, real.whole, part, fps))
            rows.append(_row(f"{name}, {FLOOR}", one, other, part, fps))
    return rows


def _row(name: str, results: SetStatistics, real: SetStatistics, part: str, fps: float) -> VideoRow:
    """Return the distance of two sets; its frames are the frames or clips of the first."""
    statistics: RunningStatistics = getattr(results, part)
    try:
        distance = distance_of(statistics, getattr(real, part))
    except InputError:
        return VideoRow(name, math.nan, why=TOO_FEW, fps=fps)
    return VideoRow(
        name=name,
        value=distance,
        clips=results.videos,
        frames=statistics.count,
        fps=fps,
        coverage=1.0,
    )


def bias_notes(results: SetStatistics, real: RealVideos | None) -> list[str]:
    """Say where FID or FVD is taken of too few frames or clips."""
    if real is None:
        return []
    notes = [f"FVD: {RULE.words}; FID: every {FRAME_STEP}th frame"]
    for name, statistics in (("FID", results.pictures), ("FVD", results.clips)):
        if statistics.count and not statistics.is_full_rank:
            notes.append(
                f"{name} of {statistics.count} samples is biased upwards; compare it only with "
                "figures of as many, and with the real halves"
            )
    return notes
