"""Tell the user before rendering what a kind of model cannot show of a motion."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.motion import partial_arms
from pipeline.values import Motion

# Below this height of the face a wide open mouth is smaller than the control's cell of 16 pixels:
# at 576x1024 the face of a whole body is about 110 pixels high and its open mouth 12 to 15
SMALL_FACE_PX = 150


def resting_arms(motion: Motion, size: tuple[int, int]) -> str | None:
    """Name the arms that rest because the image shows them only in part.

    A warp cannot invent the rest.
    """
    return partial_arms.notice(motion)


def untuned_lips(motion: Motion, size: tuple[int, int]) -> str | None:
    """Tell what the lips will do at the height of the face in the output.

    None where no face is seen.
    """
    face = motion.reference.face
    heights = face.xy[0, face.visible[0], 1]
    if len(heights) == 0:
        return None
    height = round(float(np.ptp(heights)) * size[0])
    lips = "the jaw opens and shuts with the sound, but lips do not form single sounds"
    if height < SMALL_FACE_PX:
        lips = "expect little movement of the mouth; a closer picture shows more"
    return f"the face is {height} pixels high, and these weights were not tuned on sound: {lips}"


# by the class name of the image condition, which says how the reference image enters the model
EXPECTATIONS: dict[str, Callable[[Motion, tuple[int, int]], str | None]] = {
    "WarpedReference": resting_arms,
    "StillReference": untuned_lips,
}


def expectation(condition: str, motion: Motion, size: tuple[int, int]) -> str | None:
    """Tell what a model with this image condition cannot show at output (H, W), if anything."""
    tell = EXPECTATIONS.get(condition)
    return None if tell is None else tell(motion, size)
