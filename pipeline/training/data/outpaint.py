"""Outpainted references (APV-Gen, eq. 19): a face clip's frame, grown to a whole picture.

A frame on black would teach borders. The frame is placed like a training frame, and the rest is
painted: by a diffusers pipeline of the user's choice, or by the project's texture fill.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.analysis import detectors
from pipeline.render.warp.background import is_plain
from pipeline.render.warp.fill import textured
from pipeline.render.warp.maps import grown, push_pull
from pipeline.training.data.clip_filters import has_pose
from pipeline.training.data.fda_sampling import (
    PAPER,
    PlacementLaw,
    draw_placement,
    loss_mask,
    place_frames,
)
from pipeline.training.data.training_clips import Outpainted, TrainingClip
from pipeline.values import InputError

log = logging.getLogger(__name__)

TEXTURE_FILL = "texture fill"
PICTURE_SIZE = (768, 512)  # (H, W) of APV-Gen's training
SIZE_MULTIPLE = 8  # latent diffusion's
LEAST_SIDE_PX = 64
MOST_SIDE_PX = 4096
SEARCH_CELLS = 64  # of the texture's grid along the shorter side: 128 cost half as much again
PERSON_ROWS = 48  # a picture height over this is kept clear around the person
ON_PERSON = 0.5  # alpha
# Rows of the frame's lower edge, in picture heights, whose mean colors go on below it as clothes
HEM_PICTURE_HEIGHTS = 0.012
CLOTHES_BLUR_PICTURE_WIDTHS = 0.05  # no stripes of skin and collar down to the floor
EDGE_PX = 3  # over which the frame's edge is blended
PROMPT = "a person standing in front of the camera, full body, natural background"
DIFFUSION_STEPS = 25
WHOLE_PIXEL = 0.999  # coverage from which a pixel of the placed frame is kept


class Outpainter(Protocol):
    """What paints the rest of a picture. `name` goes to the log, the index and the report."""

    name: str

    def paint(self, picture: np.ndarray, known: np.ndarray, seed: int) -> np.ndarray:
        """Return (H,W,3) uint8; pixels that are not `known` (H,W) bool are painted."""


@dataclass(frozen=True)
class TextureFill:
    """Paints background by copies of the frame's own, and clothes by the colors of its lower edge.

    It draws no arms and no legs: a stand-in where there are no weights.
    """

    name: str = TEXTURE_FILL

    def paint(self, picture: np.ndarray, known: np.ndarray, seed: int) -> np.ndarray:
        """Paint without chance; `seed` does not matter."""
        person = _person(picture, known)
        levels = torch.from_numpy(picture).permute(2, 0, 1)
        image = levels.float() / 255
        known_map = torch.from_numpy(known)
        person_map = torch.from_numpy(person)
        background = _background(image, known_map, person_map)
        painted = _to_bytes(background)
        return _with_clothes(painted, picture, known, person)


class DiffusersOutpainter:
    """Paints by a diffusers inpainting pipeline: a folder, or a repository of the hub.

    Args:
        source: folder or repository with safetensors files.
        device: where it runs.
        prompt: what the whole picture shows.
        steps: of the sampler.
    """

    def __init__(self, source: str, device: str, prompt: str, steps: int) -> None:
        self.name = source.rstrip("/").split("/")[-1]
        self._device = device
        self._prompt = prompt
        self._steps = steps
        self._pipe = _load_pipeline(source, device)

    def paint(self, picture: np.ndarray, known: np.ndarray, seed: int) -> np.ndarray:
        """Paint at the picture's size; the same seed gives the same picture."""
        height, width = known.shape
        unknown = np.where(known, 0, 255).astype(np.uint8)
        generator = torch.Generator("cpu").manual_seed(seed)
        with torch.no_grad():
            result = self._pipe(
                prompt=self._prompt,
                image=Image.fromarray(picture),
                mask_image=Image.fromarray(unknown),
                height=height,
                width=width,
                num_inference_steps=self._steps,
                generator=generator,
            )
        painted = result.images[0].convert("RGB")
        return np.asarray(painted.resize((width, height)))


def outpaint(
    clip: TrainingClip,
    painter: Outpainter,
    seed: int,
    law: PlacementLaw = PAPER,
    size: tuple[int, int] = PICTURE_SIZE,
) -> Outpainted:
    """Place one frame of a face clip and paint the picture around it.

    The frame is a random one of those that show the face, so that references are as different
    from the driving frames as at inference.

    Args:
        clip: the face clip.
        painter: what paints.
        seed: of the frame, the place and the painter.
        law: of the place.
        size: (H,W) of the picture.
    """
    generator = np.random.default_rng(seed)
    shown = np.flatnonzero(has_pose(clip.pose, "face"))
    frame = int(generator.choice(shown)) if len(shown) else 0
    placement = draw_placement(generator, law)
    placed = place_frames(clip.frames[frame : frame + 1], placement, size)[0]
    coverage = loss_mask(placement, size)
    known = coverage >= WHOLE_PIXEL
    painted = painter.paint(placed, known, seed)
    picture = _joined(painted, placed, known)
    return Outpainted(picture, placement, frame, painter.name)


def check_size(size: tuple[int, int]) -> None:
    """Refuse a size (H,W) that latent diffusion cannot paint."""
    height, width = size
    is_multiple = height % SIZE_MULTIPLE == 0 and width % SIZE_MULTIPLE == 0
    is_possible = min(size) >= LEAST_SIDE_PX and max(size) <= MOST_SIDE_PX
    if not (is_multiple and is_possible):
        raise InputError(
            f"a whole picture of {width}x{height} pixels cannot be painted; "
            f"give multiples of {SIZE_MULTIPLE} from {LEAST_SIDE_PX} to {MOST_SIDE_PX}"
        )


def _joined(painted: np.ndarray, placed: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Put the frame over what was painted; its edge is blended over a few pixels."""
    levels = known.astype(np.uint8)
    inside_px = cv2.distanceTransform(levels, cv2.DIST_L2, 3)
    share = np.clip(inside_px / EDGE_PX, 0, 1)
    share = share[..., None]
    mixed = placed * share + painted * (1 - share)
    return np.rint(mixed).astype(np.uint8)


def _person(picture: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the person's mask (H,W) bool in the placed frame, nothing elsewhere."""
    rows = _span(known.any(1))
    columns = _span(known.any(0))
    frame = picture[rows, columns]
    person = np.zeros(known.shape, bool)
    detector = detectors.load(detectors.DEFAULT)  # the one that gives masks
    try:
        detection = detector.image(frame)
    except InputError as error:
        log.info("no mask of the person: %s", error)
        return person
    for mask in detection.masks:
        person[rows, columns] |= mask > ON_PERSON
    return person


def _span(line: np.ndarray) -> slice:
    """Return from the first to the last true place of a line (n,) bool."""
    [places] = np.nonzero(line)
    if not len(places):
        return slice(0, 0)
    return slice(places[0], places[-1] + 1)


def _background(image: Tensor, known: Tensor, person: Tensor) -> Tensor:
    """Fill (3,H,W) where nothing is known, and behind the person, from what is known.

    The person is no source: copies of a face in the background would be learned.
    """
    height = image.shape[1]
    radius = max(1, round(height / PERSON_ROWS))
    person_map = person[None, None].float()
    [[wide_person]] = grown(person_map, radius)
    source = known & (wide_person == 0)
    weight = source[None, None].to(image.dtype)
    pictures = image[None]
    [smooth] = push_pull(pictures, weight)
    if not source.any() or is_plain(pictures, weight):
        return smooth
    everywhere = torch.ones_like(known)
    return textured(image, source, everywhere, smooth, SEARCH_CELLS)


def _with_clothes(
    painted: np.ndarray, picture: np.ndarray, known: np.ndarray, person: np.ndarray
) -> np.ndarray:
    """Let the person's columns of the frame's lower edge go on to the picture's."""
    height = len(known)
    bottom = _span(known.any(1)).stop
    hem_rows = max(2, round(HEM_PICTURE_HEIGHTS * height))
    hem = slice(max(0, bottom - hem_rows), bottom)
    share = person[hem].mean(0)
    if bottom >= height or not share.any():
        return painted
    share = share.astype(np.float32)[None, :, None]
    edge = picture[hem].astype(np.float32)
    colors = edge.mean(0, keepdims=True)
    blur_px = round(CLOTHES_BLUR_PICTURE_WIDTHS * known.shape[1])
    wide_share = _blurred(share, blur_px)
    wide_colors = _blurred(colors * share, blur_px)
    clothes = wide_colors / np.maximum(wide_share, 1e-3)
    outline = _blurred(share, hem_rows)
    top = max(0, bottom - EDGE_PX - 1)  # under the frame's edge, which is blended
    below = painted[top:].astype(np.float32)
    mixed = clothes * outline + below * (1 - outline)
    levels = np.rint(mixed)
    result = painted.copy()
    result[top:] = levels.clip(0, 255)
    return result


def _blurred(line: np.ndarray, radius: int) -> np.ndarray:
    """Blur a row of pixels (1,W,C) along itself."""
    width = 2 * radius + 1
    blurred = cv2.GaussianBlur(line, (width, 1), 0)
    return blurred.reshape(line.shape)


def _to_bytes(image: Tensor) -> np.ndarray:
    """Return (H,W,3) uint8 of (3,H,W) in [0, 1]."""
    levels = (image.clamp(0, 1) * 255).round()
    return levels.permute(1, 2, 0).to(torch.uint8).numpy()


def _load_pipeline(source: str, device: str) -> Any:
    """Load an inpainting pipeline; only safetensors are opened, and no code of the repository."""
    from diffusers import AutoPipelineForInpainting

    try:
        pipe = AutoPipelineForInpainting.from_pretrained(source, use_safetensors=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"the outpainting pipeline {source} cannot be loaded ({reason:.200}); give a folder or "
            "repository of a diffusers inpainting pipeline with safetensors files"
        ) from error
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device)
