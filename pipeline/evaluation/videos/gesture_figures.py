"""How a result's gestures follow its speech: the refocusing table, and beats beside accents."""

from __future__ import annotations

import math

import numpy as np

from pipeline.evaluation.metrics import beats, gestures
from pipeline.evaluation.metrics.correlation import intensity_correlation
from pipeline.evaluation.metrics.pairing import silent_motion
from pipeline.evaluation.videos.clip import NO_SOUND, Clip, Figure, figure
from pipeline.values import InputError, Motion

NO_WRISTS = "no frame shows both shoulders and a wrist"
NO_ACCENTS = "the speech lacks accents or pauses, or the gestures have no beats"
TOO_SHORT = "clips of two seconds and less have no shifted speech"
MILLISECONDS = 1000
FOLLOWING = (
    "speed-intensity r",
    "speed-intensity r, z against shifted speech",
    "amplitude-intensity r",
    "amplitude-intensity r, z against shifted speech",
    "on/off ratio",
    "jerk, shoulder widths",
    "jerk, 99th percentile",
)


def beat_names() -> list[str]:
    """Return the names of all rows of beats."""
    names = []
    for sigma in beats.SIGMAS_SECONDS:
        width = f"{round(sigma * MILLISECONDS)} ms"
        for direction in ("beats at accents", "accents at beats"):
            names += [f"{direction}, {width}", f"{direction}, {width}, z"]
    return names


def gesture_figures(clip: Clip) -> dict[str, Figure]:
    """Return all figures of a clip's gestures beside its speech."""
    if clip.speech is None:
        return _nothing(NO_SOUND)
    frames = min(len(clip), len(clip.speech))
    pose = clip.pose[:frames]
    motion = silent_motion(pose, pose[:1], clip.speech)[:frames]
    wrists_seen = pose.body.visible[:, gestures.WRISTS].any(1)
    seen = int(np.count_nonzero(wrists_seen))
    if seen == 0:
        return _nothing(NO_WRISTS)
    try:
        gestures.wrists(pose)
    except InputError:
        return _nothing(NO_WRISTS)
    return {**_following(motion, seen), **_beats(clip, motion, seen)}


def _nothing(why: str) -> dict[str, Figure]:
    """Return every row without a value."""
    return {name: Figure(math.nan, why=why) for name in (*FOLLOWING, *beat_names())}


def _following(motion: Motion, seen: int) -> dict[str, Figure]:
    """Return the refocusing table of one motion, whose wrists are seen in `seen` frames."""
    pose = motion.pose
    home = gestures.rest(pose, motion.excitation)
    measured = gestures.figures(motion, home)
    distances = gestures.filled_amplitude(pose, home)
    amplitude = intensity_correlation(distances, motion.intensity, pose.fps)
    values = (
        measured.correlation,
        measured.z or math.nan,  # 0 stands for a clip that is too short to shift
        amplitude.r,
        amplitude.z or math.nan,
        measured.ratio,
        measured.jerk,
        measured.jerk99,
    )
    whys = ("", TOO_SHORT, "", TOO_SHORT, NO_ACCENTS, "", "")
    total = len(motion)
    rows = zip(FOLLOWING, values, whys, strict=True)
    return {name: figure(value, seen, total, why) for name, value, why in rows}


def _beats(clip: Clip, motion: Motion, seen: int) -> dict[str, Figure]:
    """Return beat alignment in both directions, with its distance from shifted speech."""
    assert clip.speech is not None
    speed = gestures.speed(motion.pose)
    moments = beats.motion_beats(speed, clip.fps)
    accents = clip.speech.accents[:, 0]
    found = []
    for sigma in beats.SIGMAS_SECONDS:
        by_beat = beats.alignment(moments, accents, clip.seconds, sigma)
        by_accent = beats.alignment(accents, moments, clip.seconds, sigma)
        for scored in (by_beat, by_accent):
            found.append(figure(scored.score, seen, len(clip), NO_ACCENTS))
            found.append(figure(scored.z, seen, len(clip), NO_ACCENTS))
    return dict(zip(beat_names(), found, strict=True))
