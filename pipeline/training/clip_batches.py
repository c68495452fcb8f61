"""Batches of APV-Gen's trainer: training clips become pictures, skeletons and masks of one size.

A face clip's frames are shrunk and placed on black by FDA (eq. 2-8); its reference is the
outpainted picture, never the shrunk frame, whose black border would teach borders. That picture
joins as one extra row at the end, with the skeleton of its own frame (eq. 19). A full-body clip is
cropped to the aspect of the picture; its reference is any of its frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from pipeline.motion import skeleton
from pipeline.training.data.fda_sampling import (
    PAPER,
    Placement,
    PlacementLaw,
    draw_placement,
    latent_mask,
    place_frames,
    place_points,
)
from pipeline.training.data.training_clips import Kind, TrainingClip
from pipeline.values import InputError, Keypoints, Pose


@dataclass(frozen=True)
class ClipShape:
    """What every batch of a run has in common.

    frames: F of a clip, without the reference row.
    size: (H, W) of the pictures; grid: (h, w) of their latents.
    interval: frames of the clip from one row to the next, less where the clip is too short.
    style: of the skeletons.
    law: of the placements of face clips.
    fda: whether face clips are shrunk; False is the ablation, which takes them as they are.
    reference_row: whether face clips get the extra row of eq. 19; False is the ablation.
    """

    frames: int
    size: tuple[int, int]
    grid: tuple[int, int]
    interval: int = 1
    style: str = "controlnext"
    law: PlacementLaw = PAPER
    fda: bool = True
    reference_row: bool = True


@dataclass(frozen=True)
class ClipBatch:
    """B clips of one kind, R rows each: F frames, then the reference row where there is one.

    pictures: (B,R,3,H,W) uint8, what the denoiser has to give.
    control: (B,R,3,H,W) uint8, the skeletons of the same rows.
    reference: (B,3,H,W) uint8, the picture in every row's image slot.
    inside: (B,F,1,h,w) w of eq. 8; 1 everywhere for full-body clips.
    hands: (B,F,42,3) hand points of the frames and their scores.
    samples: (B,n) float32, the sound at 16 kHz of the whole clips, so that loudness is that of the
        speaker; 0 after its end. sample_counts: (B,) its length, 0 where there is none.
    starts_seconds: (B,) when the first frame is shown. fps: (B,) frames per second.
    """

    kind: Kind
    pictures: Tensor
    control: Tensor
    reference: Tensor
    inside: Tensor
    hands: Tensor
    samples: Tensor
    sample_counts: Tensor
    starts_seconds: Tensor
    fps: Tensor

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def frames(self) -> int:
        """F, the rows less the reference row."""
        return self.inside.shape[1]

    @property
    def has_reference_row(self) -> bool:
        """Whether the last row is the outpainted reference."""
        return self.pictures.shape[1] > self.frames

    def to(self, device: torch.device) -> ClipBatch:
        """Move the tensors to a device."""
        moved = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                moved[field.name] = value.to(device, non_blocking=True)
        return replace(self, **moved)


def join(parts: Sequence[ClipBatch]) -> ClipBatch:
    """Join batches of one kind; sounds get the length of the longest."""
    longest = max(part.samples.shape[1] for part in parts)
    columns = {}
    for field in fields(ClipBatch):
        if field.name == "kind":
            continue
        values = [getattr(part, field.name) for part in parts]
        if field.name == "samples":
            values = [_padded(value, longest) for value in values]
        columns[field.name] = torch.cat(values)
    return ClipBatch(kind=parts[0].kind, **columns)


def make_batch(clip: TrainingClip, shape: ClipShape, generator: np.random.Generator) -> ClipBatch:
    """Make the batch of one clip, B = 1.

    Raises InputError naming the clip's source where it is too short or lacks its reference.

    Args:
        clip: of either kind.
        shape: of the run's batches.
        generator: draws the frames, their place and the reference.
    """
    rows = choose_rows(len(clip), shape, clip.source, generator)
    if clip.kind == "face" and shape.fda:
        view = shrink_clip(clip, rows, shape, generator)
    else:
        view = crop_clip(clip, rows, shape, generator)
    poses = [view.pose]
    pictures = view.frames
    if clip.kind == "face" and shape.reference_row:
        poses.append(view.reference_pose)
        pictures = np.concatenate([pictures, view.reference[None]])
    drawn = [skeleton.draw(pose, shape.size, shape.style) for pose in poses]
    control = np.concatenate(drawn)
    step = int(rows[1] - rows[0]) if len(rows) > 1 else 1
    samples = torch.zeros(0) if clip.samples is None else torch.from_numpy(clip.samples)
    return ClipBatch(
        kind=clip.kind,
        pictures=_to_tensor(pictures)[None],
        control=_to_tensor(control)[None],
        reference=_to_tensor(view.reference[None]),
        inside=view.inside.expand(1, shape.frames, 1, *shape.grid),
        hands=_points_and_scores(view.pose.hands)[None],
        samples=samples[None].float(),
        sample_counts=torch.tensor([len(samples)]),
        starts_seconds=torch.tensor([rows[0] / clip.pose.fps]),
        fps=torch.tensor([clip.pose.fps / step]),
    )


def choose_rows(
    count: int, shape: ClipShape, source: str, generator: np.random.Generator
) -> np.ndarray:
    """Draw which F of a clip's frames are taken: a run with equal steps."""
    if count < shape.frames:
        raise InputError(
            f"{source} has {count} frames, but `frames` is {shape.frames}; "
            "leave short clips out or train on fewer frames"
        )
    steps = max(shape.frames - 1, 1)
    longest_step = (count - 1) // steps
    step = max(1, min(shape.interval, longest_step))
    last_start = count - 1 - step * (shape.frames - 1)
    start = generator.integers(last_start + 1)
    return start + step * np.arange(shape.frames)


@dataclass(frozen=True)
class ClipView:
    """What of a clip is in the picture: frames (F,H,W,3) and their pose, the reference (H,W,3) and
    its pose of one frame, and w (h,w)."""

    frames: np.ndarray
    pose: Pose
    reference: np.ndarray
    reference_pose: Pose
    inside: Tensor


def shrink_clip(
    clip: TrainingClip, rows: np.ndarray, shape: ClipShape, generator: np.random.Generator
) -> ClipView:
    """Shrink a face clip's frames onto black; the reference is its outpainted picture."""
    outpainted = clip.outpainted
    if outpainted is None:
        raise InputError(
            f"the face clip {clip.source} has no outpainted reference; "
            "make the face data again with `python -m pipeline train data`"
        )
    placement = draw_placement(generator, shape.law)
    inside = latent_mask(placement, shape.grid)
    reference_frame = slice(outpainted.frame, outpainted.frame + 1)
    seen = without_points_outside(clip.pose)
    return ClipView(
        frames=place_frames(clip.frames[rows], placement, shape.size),
        pose=place_points(seen[rows], placement, shape.size),
        reference=_resized(outpainted.picture, shape.size),
        reference_pose=place_points(seen[reference_frame], outpainted.placement, shape.size),
        inside=torch.from_numpy(inside),
    )


def without_points_outside(pose: Pose) -> Pose:
    """Drop points outside the picture: what a shrunk frame leaves blank is black (eq. 7)."""
    parts = []
    for points in (pose.body, pose.hands, pose.face):
        is_inside = (points.xy >= 0) & (points.xy <= 1)
        score = points.score * is_inside.all(-1)
        parts.append(Keypoints(points.xy, score))
    return Pose(*parts, pose.fps, pose.size)


def crop_clip(
    clip: TrainingClip, rows: np.ndarray, shape: ClipShape, generator: np.random.Generator
) -> ClipView:
    """Crop a clip to the picture's aspect; the reference is any of its frames."""
    box = crop_box(clip.size, shape.size, generator)
    reference = int(generator.integers(len(clip)))
    reference_frame = slice(reference, reference + 1)
    placement = box.placement
    return ClipView(
        frames=box.cut(clip.frames[rows], shape.size),
        pose=place_points(clip.pose[rows], placement, shape.size),
        reference=box.cut(clip.frames[reference_frame], shape.size)[0],
        reference_pose=place_points(clip.pose[reference_frame], placement, shape.size),
        inside=torch.ones(shape.grid),
    )


@dataclass(frozen=True)
class CropBox:
    """A part of a picture in fractions of its sides: `low` and `span`, x then y."""

    low: tuple[float, float]
    span: tuple[float, float]

    @property
    def placement(self) -> Placement:
        """Where the whole picture lies in that part."""
        span = np.array(self.span)
        low = np.array(self.low)
        return Placement(1 / span, -low / span)

    def cut(self, frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Cut the part out of frames (T,h,w,3) and resize it to (H,W)."""
        height, width = frames.shape[1:3]
        left = round(self.low[0] * width)
        top = round(self.low[1] * height)
        right = left + round(self.span[0] * width)
        bottom = top + round(self.span[1] * height)
        parts = frames[:, top:bottom, left:right]
        return np.stack([_resized(part, size) for part in parts])


def crop_box(
    clip: tuple[int, int], size: tuple[int, int], generator: np.random.Generator
) -> CropBox:
    """Draw the largest part of a clip (h,w) with the aspect of `size` (H,W)."""
    clip_height, clip_width = clip
    height, width = size
    factor = min(clip_height / height, clip_width / width)
    across = factor * width / clip_width
    down = factor * height / clip_height
    left = generator.uniform(0, 1 - across)
    top = generator.uniform(0, 1 - down)
    return CropBox((left, top), (across, down))


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a picture (h,w,3) to (H,W), antialiased where it shrinks."""
    height, width = size
    if picture.shape[:2] == size:
        return picture
    shrinks = picture.shape[0] > height
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(picture, (width, height), interpolation=interpolation)


def _padded(samples: Tensor, length: int) -> Tensor:
    """Append zeros to sounds (..., n)."""
    missing = length - samples.shape[-1]
    return torch.nn.functional.pad(samples, (0, missing))


def _points_and_scores(points: Keypoints) -> Tensor:
    """Return (F,K,3) x, y and score."""
    columns = [points.xy, points.score[..., None]]
    values = np.concatenate(columns, -1)
    return torch.from_numpy(values).float()


def _to_tensor(pictures: np.ndarray) -> Tensor:
    """Return pictures (N,H,W,3) uint8 as (N,3,H,W)."""
    channels_first = pictures.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(channels_first))
