"""The draft: the warped reference image in full color, without any network."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator

import numpy as np
import torch

from pipeline.motion.partial_arms import rested, uncut
from pipeline.render import warp
from pipeline.render.tensors import mask_tensor, to_frames, to_tensor
from pipeline.values import Motion, Pose


def draft(
    image: np.ndarray, motion: Motion, size: tuple[int, int], frames: slice = slice(None)
) -> Iterator[np.ndarray]:
    """Yield chunks (t,h,w,3) uint8 of the reference image, warped to the motion without any
    network.

    Arms that the image shows only in part rest (`partial_arms`).

    Args:
        image: the reference image (H,W,3) uint8.
        motion: T frames.
        size: (h,w) of the frames.
        frames: which of the T are drawn, as they are when all are.
    """
    plates = layers(image, motion, size)
    motion = rested(motion, arm_stability(plates))
    for part in warp.stream(plates, warp.Points.timed(motion.pose), size, frames):
        yield to_frames(part.image[0])


def layers(
    image: np.ndarray, motion: Motion, size: tuple[int, int], device: torch.device | str = "cpu"
) -> warp.Plates:
    """Return the textured layers of a reference image (H,W,3) uint8 at `size`; the last four are
    kept.

    Arms that the image shows only in part are layers of their own only where no mask is known.
    """
    return _layers(_LayerRequest(image, uncut(motion), motion.mask, tuple(size), str(device)))


def arm_stability(plates: warp.Plates) -> tuple[float, float]:
    """Return how stable the right and the left arm's part of one picture is, for `rested`."""
    right, left = plates.stability[0].tolist()
    return right, left


class _LayerRequest:
    """Ask for layers; two requests of the same content are equal, so that the cache finds them."""

    def __init__(
        self,
        image: np.ndarray,
        reference: Pose,
        mask: np.ndarray | None,
        size: tuple[int, int],
        device: str,
    ) -> None:
        self.image = image
        self.reference = reference
        self.mask = mask
        self.size = size
        self.device = device
        content = hashlib.sha256(repr((image.shape, size, device, reference.size)).encode())
        points = (reference.body, reference.hands, reference.face)
        arrays = [image, *(array for part in points for array in (part.xy, part.score))]
        for array in arrays if mask is None else [*arrays, mask]:
            content.update(np.ascontiguousarray(array))
        self.key = content.digest()

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _LayerRequest) and self.key == other.key


@functools.lru_cache(maxsize=4)
def _layers(request: _LayerRequest) -> warp.Plates:
    """Build layers once for draft, slider and render: 512x768 takes 4 s of one busy core."""
    picture = to_tensor(request.image, request.size)
    mask = mask_tensor(request.mask, request.size)
    points = warp.Points.of(request.reference, request.device)
    mask = None if mask is None else mask.to(request.device)
    return warp.plates(picture.to(request.device), points, mask, warp.textured)
