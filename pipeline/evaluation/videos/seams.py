"""Where the segments of a render meet, as far as a video's settings tell it."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.models.model_settings import SavedModel, find_model
from pipeline.models.published_files import DEFAULT_SETTINGS
from pipeline.render.svd.denoising import plan_segments
from pipeline.values import InputError

STILL_LEAD = 1  # rows of a window that are no frames, where the reference is the still picture


def borders(settings: Mapping[str, object], frames: int, fps: float) -> list[int]:
    """Return the frames at `fps` that begin a new segment; none where it is not known.

    Args:
        settings: What the video keeps of its run.
        frames: Frames of the clip at `fps`.
        fps: The rate at which it is measured.
    """
    model = settings.get("model")
    own_fps = settings.get("fps")
    if not isinstance(model, str) or not isinstance(own_fps, (int, float)):
        return []
    if settings.get("windows") != "joint":
        return []  # published windows are averaged over the whole clip
    try:
        default_window, default_overlap = model_windows(model)
    except InputError:
        return []
    window = _whole(settings.get("window"), default_window)
    default_overlap = min(default_overlap, window - 1)
    overlap = _whole(settings.get("overlap"), default_overlap)
    if not 0 <= overlap < window:
        return []
    seconds = frames / fps
    own_frames = max(1, round(seconds * own_fps))
    segments = plan_segments(own_frames, window, overlap)
    frames_per_own = fps / own_fps
    return [round(stop * frames_per_own) for _, stop in segments[:-1]]


def _whole(value: object, default: int) -> int:
    """Return a whole number, the default where there is none."""
    return value if isinstance(value, int) else default


def model_windows(name: str) -> tuple[int, int]:
    """Return the frames of a model's windows and those that neighbors share.

    Raises InputError for a model that is not on this machine.
    """
    model = find_model(name)
    if isinstance(model, SavedModel):
        values = model.index
        lead = 0 if model.settings.condition == "WarpedReference" else STILL_LEAD
    else:
        values = DEFAULT_SETTINGS | model.set_settings
        lead = STILL_LEAD
    window = _whole(values.get("default_window"), DEFAULT_SETTINGS["default_window"])
    overlap = _whole(values.get("default_overlap"), DEFAULT_SETTINGS["default_overlap"])
    return window - lead, overlap
