"""The values of a retargeting: how one body was put on another, and the driver in pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.values import Keypoints, Pose


@dataclass(frozen=True)
class Fit:
    """How one body was put on another.

    scale: of the root and of bones without a ratio, in pixels. offset: (2,) pixels. ratios: by
    bone.
    corrected: the reference's bones that were lengthened. limited: bones whose ratio was not
    believed.
    anchor: what places the body: "ground", "neck and hips", "neck", "joints", "face" or "" for
    nothing.
    held, grown: (T,) bool, frames in which the head would have left the picture, and in which the
    body would have been smaller than the picture's edge allows; None where nobody looked.
    """

    scale: float
    offset: np.ndarray
    ratios: dict[str, float]
    corrected: tuple[str, ...] = ()
    limited: tuple[str, ...] = ()
    anchor: str = ""
    held: np.ndarray | None = None
    grown: np.ndarray | None = None


@dataclass(frozen=True)
class Gains:
    """Factors on the driver's bones, by name; `scale` is that of the root and of all others."""

    bones: dict[str, float]
    scale: float

    def of(self, bone: str) -> float:
        return self.bones.get(bone, self.scale)

    def at_scale(self, scale: float) -> Gains:
        """Keep the reference's proportions, at another scale."""
        bones = {name: value * scale / self.scale for name, value in self.bones.items()}
        return Gains(bones, scale)


@dataclass(frozen=True)
class Source:
    """The driver in pixels: body (T,19,2) with gaps closed and the mid-hip last, hands, face.

    shown: (19,) bool, points that the clip shows at all.
    """

    body: np.ndarray
    face: np.ndarray
    hands: np.ndarray
    shown: np.ndarray
    pose: Pose


@dataclass(frozen=True)
class Parts:
    """Places in pixels: body (T,18,2), hands (T,42,2), face (T,68,2)."""

    body: np.ndarray
    hands: np.ndarray
    face: np.ndarray


def median_place(points: Keypoints, k: int) -> np.ndarray:
    """Find the median place (2,) over time of point k, where it is visible."""
    return np.median(points.xy[points.visible[:, k], k], axis=0)


def shifted(parts: Parts, step: np.ndarray) -> Parts:
    """Move all parts by one step (2,), or by one for each frame (T,2)."""
    if step.ndim == 2:
        step = step[:, None]
    return Parts(parts.body + step, parts.hands + step, parts.face + step)


def pose_of(parts: Parts, pose: Pose, size: tuple[int, int]) -> Pose:
    """Turn pixels back into fractions of a picture of `size`; scores stay those of `pose`."""
    picture = np.array([size[1], size[0]], float)
    return replace(
        pose,
        size=size,
        body=Keypoints(parts.body / picture, pose.body.score),
        hands=Keypoints(parts.hands / picture, pose.hands.score),
        face=Keypoints(parts.face / picture, pose.face.score),
    )
