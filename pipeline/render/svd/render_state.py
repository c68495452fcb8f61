"""How far a render is: between two segments nothing else decides the frames that follow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pipeline.models.windows import WindowLayout
from pipeline.render.runtime.out_of_memory import LADDER, Attempt
from pipeline.render.svd.conditions import ClipCondition
from pipeline.values import InputError, ResumePoint


@dataclass(frozen=True)
class RenderState:
    """What is finished: frames and segments; and the latents (1,lead+overlap,C,h,w) to continue."""

    attempt: Attempt
    frames: int = 0
    segments: int = 0
    held: Tensor | None = None

    def point(self, generator: torch.Generator | None) -> ResumePoint | None:
        """Return what another process needs to go on; None where the noise is drawn by chance."""
        if generator is None:
            return None
        arrays = {"generator": generator.get_state().numpy()}
        if self.held is not None:
            arrays["held"] = self.held.float().cpu().numpy()
        layout = self.attempt.layout
        numbers = {
            "segments": self.segments,
            "window": layout.window,
            "overlap": layout.overlap,
            "tried": self.attempt.tried,
        }
        return ResumePoint(self.frames, arrays, numbers)


def first_state(
    point: ResumePoint | None,
    layout: WindowLayout,
    clip: ClipCondition,
    generator: torch.Generator | None,
) -> RenderState:
    """Return the state that a render begins with; set the generator to what it was at the point.

    Args:
        point: of a render of the same image, motion and options; None = from the first frame on.
        layout: the windows that the whole render begins with.
        clip: the work on that image and motion, just opened.
        generator: seeded as for the whole render.
    """
    if point is None:
        return RenderState(Attempt(layout))
    if generator is None:
        raise ValueError("a render goes on only with a generator; seed one as at its start")
    noise = clip.noise(1, generator)  # the first noise may serve the whole clip: draw it as before
    try:
        attempt = _attempt_of(point, layout)
        held = _held_of(point, attempt.layout, noise)
        segments = point.numbers["segments"]
        generator.set_state(torch.from_numpy(point.arrays["generator"].copy()))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"the notes on the finished part do not fit this model ({error}); start afresh "
            "without `resume`"
        ) from error
    return RenderState(attempt, point.frames, segments, held)


def _attempt_of(point: ResumePoint, layout: WindowLayout) -> Attempt:
    """Return the windows in use; they may have become smaller where memory ran out."""
    window = point.numbers["window"]
    overlap = point.numbers["overlap"]
    tried = point.numbers["tried"]
    if not (0 <= overlap < window - layout.lead <= layout.frames and 0 <= tried <= len(LADDER)):
        raise ValueError(f"windows of {window} frames that share {overlap}")
    return Attempt(replace(layout, window=window, overlap=overlap), tried)


def _held_of(point: ResumePoint, layout: WindowLayout, noise: Tensor) -> Tensor | None:
    """Return the latents that the next segment continues, as the noise (1,1,C,h,w) is."""
    rows = layout.lead + layout.overlap
    if not rows:
        return None
    held = point.arrays["held"]
    expected = (1, rows, *noise.shape[2:])
    if held.shape != expected or held.dtype != np.float32:
        raise ValueError(f"latents {held.shape} instead of {expected}")
    return torch.from_numpy(held.copy()).to(noise)
