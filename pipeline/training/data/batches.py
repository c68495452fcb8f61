"""Batches from the training pool: random shards, photo-like augmentation, skeletons, crops."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.models.denoiser import CELL
from pipeline.motion import skeleton
from pipeline.motion.keypoints import MIRROR_BODY, MIRROR_FACE, MIRROR_HANDS
from pipeline.training.data.clips import WITHHELD, Clips, shards
from pipeline.values import Keypoints, Pose

# the skeleton is drawn at twice the size: at the pictures' own size face dots melt together
CONTROL_SCALE = 2
OPEN_SHARDS = 16
EXCHANGE_CHANCE = 0.35  # per batch, that an open shard is exchanged
WITHHELD_CHANCE = 2.5  # clips whose mouth the sound alone tells come so many times as often
# shares of crops at these places; the rest is anywhere
FACE_CROPS = 0.55
HAND_CROPS = 0.22
HOLE_CROPS = 0.18
MIRROR_CHANCE = 0.5  # per batch
TEXTURE_CHANCE = 0.75  # per batch
COLOR_ORDER_CHANCE = 0.35  # per batch, that red, green and blue change places
_TEXTURE_CELLS_PX = (1, 2, 4, 10)
_REFERENCE_TEXTURE_SHIFT_PX = 7  # a person never has the same texture at the same place


@dataclass
class Batch:
    """B clips of F frames, floats in [0, 1]; frames lie flat, N = B F."""

    reference: Tensor  # (B, 3, H, W)
    truth: Tensor  # (N, 3, H, W)
    warped: Tensor  # (N, 3, H, W)
    validity: Tensor  # (N, 1, H, W)
    control: Tensor  # (N, 3, 2H, 2W)
    face: Tensor  # (N, 68, 3)
    hands: Tensor  # (N, 42, 3)
    audio: Tensor  # (N, 5, 160)
    loudness: Tensor  # (N,)
    lips: Tensor  # (N,) 0 where lips and jaw were withheld from warp and skeleton
    clips: int  # B


class Pool:
    """Clips of one size from the shards that are in `folder` by now."""

    def __init__(self, folder: Path, generator: torch.Generator) -> None:
        self.folder = folder
        self.generator = generator
        self.open: list[Clips] = []

    def _number(self, below: int) -> int:
        return int(torch.randint(below, (), generator=self.generator))

    def ready(self) -> int:
        """Count the shards in the folder."""
        return len(shards(self.folder))

    def draw(self, clips: int, withheld: float = WITHHELD_CHANCE) -> Clips:
        """Draw random clips with all of their frames, of the size of a random open shard.

        Clips whose lips are withheld come `withheld` times as often as others.
        """
        is_few = len(self.open) < OPEN_SHARDS
        if is_few or torch.rand((), generator=self.generator) < EXCHANGE_CHANCE:
            self._exchange()
        size = self.open[self._number(len(self.open))].size
        same_size = [shard for shard in self.open if shard.size == size]
        parts = []
        for _ in range(clips):
            shard = same_size[self._number(len(same_size))]
            weights = torch.where(shard.lips > 0, 1.0, withheld)
            row = torch.multinomial(weights, 1, generator=self.generator)
            parts.append(shard[row])
        return Clips.join(parts)

    def _exchange(self) -> None:
        """Open shards until there are enough, or replace one."""
        paths = shards(self.folder)
        if not paths:
            raise RuntimeError(
                f"the training pool {self.folder.name} is empty; wait until it is being filled"
            )
        missing = max(1, OPEN_SHARDS - len(self.open))
        for _ in range(missing):
            if len(self.open) >= OPEN_SHARDS:
                self.open.pop(self._number(len(self.open)))
            path = paths[self._number(len(paths))]
            self.open.append(Clips.load(path))


def mirrored(clips: Clips) -> Clips:
    """Exchange left and right in pictures and key points."""
    return replace(
        clips,
        reference=clips.reference.flip(-1),
        truth=clips.truth.flip(-1),
        warped=clips.warped.flip(-1),
        validity=clips.validity.flip(-1),
        body=_mirrored_points(clips.body, MIRROR_BODY),
        hands=_mirrored_points(clips.hands, MIRROR_HANDS),
        face=_mirrored_points(clips.face, MIRROR_FACE),
    )


def _mirrored_points(points: Tensor, order: tuple[int, ...]) -> Tensor:
    points = points[..., list(order), :].clone()
    points[..., 0] = 1 - points[..., 0]
    return points


def skeletons(clips: Clips) -> Tensor:
    """Draw the skeletons (N, 3, 2H, 2W) in [0, 1] of all frames, without withheld lips and jaws."""
    height, width = clips.size
    face = clips.face.clone()
    face[:, :, WITHHELD, 2] *= clips.lips[:, None, None]
    parts = []
    for points in (clips.body, clips.hands, face):
        values = points.flatten(0, 1).double().numpy()
        parts.append(Keypoints(values[..., :2], values[..., 2]))
    pose = Pose(*parts, 25.0, clips.size)
    size = (CONTROL_SCALE * height, CONTROL_SCALE * width)
    pictures = torch.from_numpy(skeleton.draw(pose, size, "preview"))
    return pictures.permute(0, 3, 1, 2).float() / 255


def plain(clips: Clips) -> Batch:
    """Convert clips to a batch without augmentation, for evaluation."""
    frames = clips.truth.shape[1]
    return Batch(
        reference=clips.reference.float() / 255,
        truth=(clips.truth.float() / 255).flatten(0, 1),
        warped=(clips.warped.float() / 255).flatten(0, 1),
        validity=(clips.validity.float() / 255).flatten(0, 1),
        control=skeletons(clips),
        face=clips.face.flatten(0, 1),
        hands=clips.hands.flatten(0, 1),
        audio=clips.audio.flatten(0, 1).float(),
        loudness=clips.loudness.flatten(0, 1).float(),
        lips=clips.lips.repeat_interleave(frames, 0),
        clips=len(clips),
    )


def augmented(clips: Clips, generator: torch.Generator) -> Batch:
    """Convert clips to a batch with random mirroring, colors and photo-like textures.

    The texture lies on warp and truth alike, so the clean residual does not depend on it: the
    denoiser learns to leave grain, folds and print of a photograph alone.
    """
    mirror_chance, texture_chance = torch.rand(2, generator=generator).tolist()
    batch = plain(mirrored(clips) if mirror_chance < MIRROR_CHANCE else clips)
    count = batch.clips
    frames = len(batch.truth) // count
    gain, order = _draw_colors(count, generator)
    texture = None
    if texture_chance < TEXTURE_CHANCE:
        texture = _draw_texture(count, clips.size, generator)

    def change(pictures: Tensor, repeat: int, shift: int) -> Tensor:
        pictures = pictures[:, order] * gain.repeat_interleave(repeat, 0)
        if texture is not None:
            pictures = pictures + texture.roll(shift, -1).repeat_interleave(repeat, 0)
        return pictures

    batch.reference = change(batch.reference, 1, _REFERENCE_TEXTURE_SHIFT_PX).clamp(0, 1)
    # truth and warp are not clamped: their difference must stay what it was
    batch.truth = change(batch.truth, frames, 0)
    batch.warped = change(batch.warped, frames, 0)
    return batch


def _draw_colors(count: int, generator: torch.Generator) -> tuple[Tensor, list[int]]:
    """Draw gains (count, 3, 1, 1) and an order of the channels."""
    gain = 0.8 + 0.4 * torch.rand((count, 3, 1, 1), generator=generator)
    if torch.rand((), generator=generator) < COLOR_ORDER_CHANCE:
        order = torch.randperm(3, generator=generator)
    else:
        order = torch.arange(3)
    return gain, order.tolist()


def _draw_texture(count: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Draw (count, 3, H, W) grain, cloudy folds and hard-edged spots of random strength."""
    height, width = size
    texture = torch.zeros(count, 3, height, width)
    strength = 0.10 * torch.rand((5, count, 1, 1, 1), generator=generator) ** 2
    for level, cell in enumerate(_TEXTURE_CELLS_PX):
        rows = -(-height // cell)
        columns = -(-width // cell)
        noise = torch.randn((count, 3, rows, columns), generator=generator)
        noise = 0.35 * noise + noise.mean(1, keepdim=True)
        if cell > 1:
            noise = F.interpolate(noise, scale_factor=cell, mode="bilinear")
        texture += strength[level] * noise[..., :height, :width]
    spots = torch.randn((count, 1, height // 8 + 1, width // 8 + 1), generator=generator)
    spots = F.interpolate(spots, (height, width), mode="bicubic")
    tint = torch.randn((count, 3, 1, 1), generator=generator)
    sign = (spots > 0.4).float() - (spots < -0.8).float()
    return texture + strength[4] * tint * sign


def crop_corner(batch: Batch, side: int, generator: torch.Generator) -> list[tuple[int, int]]:
    """Draw one latent corner (row, column) per clip for crops of `side` latents.

    The crops lie at faces, at hands and at places that the warp did not show.
    """
    frames = len(batch.truth) // batch.clips
    rows, columns = (pixels // CELL for pixels in batch.truth.shape[-2:])
    corners = []
    for clip in range(batch.clips):
        kind = torch.rand((), generator=generator).item()
        noise = torch.rand(2, generator=generator) - 0.5
        center = _crop_center(batch, clip * frames, kind, generator)
        center_cells = center.flip(0) * torch.tensor([rows, columns])
        row, column = (center_cells + noise * side * 0.5 - side / 2).tolist()
        row = int(min(max(row, 0), rows - side))
        column = int(min(max(column, 0), columns - side))
        corners.append((row, column))
    return corners


def _crop_center(batch: Batch, frame: int, kind: float, generator: torch.Generator) -> Tensor:
    """Draw (x, y) fractions of a frame; `kind` in [0, 1) chooses face, hands, hole or anywhere."""
    face = batch.face[frame]
    hands = batch.hands[frame]
    anywhere = torch.rand(2, generator=generator)
    if kind < FACE_CROPS and face[:, 2].mean() > 0.5:
        return face[:, :2].mean(0)
    if kind < FACE_CROPS + HAND_CROPS and hands[:, 2].mean() > 0.25:
        visible = hands[hands[:, 2] > 0.3]
        number = int(torch.randint(len(visible), (), generator=generator))
        return visible[number, :2]
    if kind < FACE_CROPS + HAND_CROPS + HOLE_CROPS:
        return _draw_hole(batch.validity[frame], generator)
    return anywhere


def _draw_hole(validity: Tensor, generator: torch.Generator) -> Tensor:
    """Draw (x, y) fractions of a pixel that is not valid; the middle if all are."""
    height, width = validity.shape[-2:]
    holes = torch.nonzero(validity[0].flatten() < 0.5).flatten()
    if not len(holes):
        return torch.tensor([0.5, 0.5])
    number = int(torch.randint(len(holes), (), generator=generator))
    pixel = int(holes[number])
    return torch.tensor([(pixel % width) / width, (pixel // width) / height])


def crop(pictures: Tensor, corners: list[tuple[int, int]], side: int, cell: int) -> Tensor:
    """Crop pictures (N, C, H, W) to (N, C, side x cell, side x cell).

    There is one corner per clip, in latents of `cell` pixels.
    """
    frames = len(pictures) // len(corners)
    length = side * cell
    parts = []
    for number, (row, column) in enumerate(corners):
        clip = pictures[number * frames : (number + 1) * frames]
        top = row * cell
        left = column * cell
        parts.append(clip[..., top : top + length, left : left + length])
    return torch.cat(parts)


def step_generator(seed: int, step: int) -> torch.Generator:
    """Make the generator of one training step, so that a resumed run draws as an unbroken one."""
    sequence = np.random.SeedSequence([seed, step])
    return torch.Generator().manual_seed(int(sequence.generate_state(1)[0]))
