"""Batches from the training pool: random shards, photo-like augmentation, skeleton pictures, latent crops."""

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
from pipeline.values import InputError, Keypoints, Pose

CONTROL_SCALE = (
    2  # the skeleton is drawn at twice the size: at once the size face dots melt together
)
OPEN_SHARDS = 16
WITHHELD_CHANCE = 2.5  # times as often: clips whose mouth the sound alone tells
FACE_CROPS, HAND_CROPS, HOLE_CROPS = (
    0.55,
    0.22,
    0.18,
)  # shares of crops at these places, the rest anywhere
EXCHANGE = 0.35  # chance per batch that an open shard is exchanged


@dataclass
class Batch:
    """B clips of F frames, floats in [0, 1]; frames lie flat, N = B F, but for `reference` (B,3,H,W)."""

    reference: Tensor
    truth: Tensor
    warped: Tensor
    validity: Tensor
    control: Tensor
    face: Tensor
    hands: Tensor
    audio: Tensor  # (N,5,160)
    loudness: Tensor  # (N,)
    lips: Tensor  # (N,) 0 where lips and jaw were withheld from warp and skeleton
    clips: int


class Pool:
    """Draws clips of one size from the shards that are in `folder` by now."""

    def __init__(self, folder: Path, generator: torch.Generator) -> None:
        self.folder, self.generator = folder, generator
        self.open: list[Clips] = []

    def _number(self, below: int) -> int:
        return int(torch.randint(below, (), generator=self.generator))

    def ready(self) -> int:
        return len(shards(self.folder))

    def draw(self, clips: int, withheld: float = WITHHELD_CHANCE) -> Clips:
        """`clips` random clips, all of their frames, of the size of a random open shard.

        Clips whose lips are withheld come `withheld` times as often as others.
        """
        if len(self.open) < OPEN_SHARDS or torch.rand((), generator=self.generator) < EXCHANGE:
            self._exchange()
        size = self.open[self._number(len(self.open))].size
        same = [s for s in self.open if s.size == size]
        picked = []
        for _ in range(clips):
            shard = same[self._number(len(same))]
            chance = torch.where(shard.lips > 0, 1.0, withheld)
            picked.append(shard[torch.multinomial(chance, 1, generator=self.generator)])
        return Clips.join(picked)

    def _exchange(self) -> None:
        paths = shards(self.folder)
        if not paths:
            raise InputError(
                f"the training pool {self.folder.name} is empty; wait until it is being filled"
            )
        missing = max(1, OPEN_SHARDS - len(self.open))
        for _ in range(missing):
            if len(self.open) >= OPEN_SHARDS:
                self.open.pop(self._number(len(self.open)))
            self.open.append(Clips.load(paths[self._number(len(paths))]))


def mirrored(clips: Clips) -> Clips:
    """Left and right exchanged, in pictures and key points."""

    def points(p: Tensor, order: np.ndarray) -> Tensor:
        p = p[..., order.tolist(), :].clone()
        p[..., 0] = 1 - p[..., 0]
        return p

    pictures = ("reference", "truth", "warped", "validity")
    return replace(
        clips,
        **{name: getattr(clips, name).flip(-1) for name in pictures},
        body=points(clips.body, MIRROR_BODY),
        hands=points(clips.hands, MIRROR_HANDS),
        face=points(clips.face, MIRROR_FACE),
    )


def skeletons(clips: Clips) -> Tensor:
    """The preview pictures (N,3,2H,2W) in [0,1] of all frames; withheld lips and jaws are not drawn."""
    height, width = (CONTROL_SCALE * side for side in clips.size)
    face = clips.face.clone()
    face[:, :, WITHHELD, 2] *= clips.lips[:, None, None]
    parts = [p.flatten(0, 1).double().numpy() for p in (clips.body, clips.hands, face)]
    pose = Pose(*(Keypoints(p[..., :2], p[..., 2]) for p in parts), 25.0, clips.size)
    return (
        torch.from_numpy(skeleton.draw(pose, (height, width), "preview"))
        .permute(0, 3, 1, 2)
        .float()
        / 255
    )


def plain(clips: Clips) -> Batch:
    """The clips as they are, for evaluation."""
    reference, truth, warped, validity = (
        p.float() / 255 for p in (clips.reference, clips.truth, clips.warped, clips.validity)
    )
    return Batch(
        reference,
        truth.flatten(0, 1),
        warped.flatten(0, 1),
        validity.flatten(0, 1),
        skeletons(clips),
        clips.face.flatten(0, 1),
        clips.hands.flatten(0, 1),
        clips.audio.flatten(0, 1).float(),
        clips.loudness.flatten(0, 1).float(),
        clips.lips.repeat_interleave(clips.truth.shape[1], 0),
        len(clips),
    )


def augmented(clips: Clips, generator: torch.Generator) -> Batch:
    """Mirror images, colours and photo-like textures.

    The texture lies on warp and truth alike, so the clean residual does not depend on it: the denoiser learns
    to leave grain, folds and print of a photograph alone.
    """
    chance = torch.rand(2, generator=generator).tolist()
    batch = plain(mirrored(clips) if chance[0] < 0.5 else clips)
    count, frames = batch.clips, len(batch.truth) // batch.clips
    gain, order = _colours(count, generator)
    texture = _texture(count, clips.size, generator) if chance[1] < 0.75 else 0.0

    def changed(pictures: Tensor, repeat: int, roll: int) -> Tensor:
        pictures = pictures[:, order] * gain.repeat_interleave(repeat, 0)
        if isinstance(texture, Tensor):
            pictures = pictures + texture.roll(roll, -1).repeat_interleave(repeat, 0)
        return pictures

    batch.reference = changed(batch.reference, 1, 7).clamp(0, 1)
    # truth and warp are not clamped apart: their difference must stay what it was
    batch.truth, batch.warped = changed(batch.truth, frames, 0), changed(batch.warped, frames, 0)
    return batch


def _colours(count: int, generator: torch.Generator) -> tuple[Tensor, list[int]]:
    gain = 0.8 + 0.4 * torch.rand((count, 3, 1, 1), generator=generator)
    order = (
        torch.randperm(3, generator=generator)
        if torch.rand((), generator=generator) < 0.35
        else torch.arange(3)
    )
    return gain, order.tolist()


def _texture(count: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """(count,3,H,W) grain, cloudy folds and hard-edged spots of random strength."""
    height, width = size
    total = torch.zeros(count, 3, height, width)
    strength = 0.10 * torch.rand((5, count, 1, 1, 1), generator=generator) ** 2
    for level, cell in enumerate((1, 2, 4, 10)):
        coarse = torch.randn((count, 3, -(-height // cell), -(-width // cell)), generator=generator)
        coarse = 0.35 * coarse + coarse.mean(1, keepdim=True)
        fine = coarse if cell == 1 else F.interpolate(coarse, scale_factor=cell, mode="bilinear")
        total += strength[level] * fine[..., :height, :width]
    spots = torch.randn((count, 1, height // 8 + 1, width // 8 + 1), generator=generator)
    spots = F.interpolate(spots, (height, width), mode="bicubic")
    tint = torch.randn((count, 3, 1, 1), generator=generator)
    return total + strength[4] * tint * ((spots > 0.4).float() - (spots < -0.8).float())


def crop_corner(batch: Batch, side: int, generator: torch.Generator) -> list[tuple[int, int]]:
    """One latent corner (row, column) per clip for crops of `side` latents, at faces, hands and repairs."""
    frames = len(batch.truth) // batch.clips
    rows, columns = (s // CELL for s in batch.truth.shape[-2:])
    corners = []
    for clip in range(batch.clips):
        kind, noise = (
            torch.rand((), generator=generator).item(),
            torch.rand(2, generator=generator) - 0.5,
        )
        face, hands = batch.face[clip * frames], batch.hands[clip * frames]
        centre = torch.rand(2, generator=generator)  # x, y
        if kind < FACE_CROPS and face[:, 2].mean() > 0.5:
            centre = face[:, :2].mean(0)
        elif kind < FACE_CROPS + HAND_CROPS and hands[:, 2].mean() > 0.25:
            seen = hands[hands[:, 2] > 0.3]
            centre = seen[int(torch.randint(len(seen), (), generator=generator)), :2]
        elif kind < FACE_CROPS + HAND_CROPS + HOLE_CROPS:
            centre = _invalid_place(batch.validity[clip * frames], generator)
        place = centre.flip(0) * torch.tensor([rows, columns]) + noise * side * 0.5 - side / 2
        limits = (rows - side, columns - side)
        corners.append(
            tuple(
                int(min(max(v, 0), limit)) for v, limit in zip(place.tolist(), limits, strict=True)
            )
        )
    return corners


def _invalid_place(validity: Tensor, generator: torch.Generator) -> Tensor:
    """(x, y) fractions of a random pixel that the warp does not hold valid; the middle if it holds all."""
    height, width = validity.shape[-2:]
    holes = torch.nonzero(validity[0].flatten() < 0.5).flatten()
    if not len(holes):
        return torch.tensor([0.5, 0.5])
    pixel = int(holes[int(torch.randint(len(holes), (), generator=generator))])
    return torch.tensor([(pixel % width) / width, (pixel // width) / height])


def crop(pictures: Tensor, corners: list[tuple[int, int]], side: int, cell: int) -> Tensor:
    """Crops (N,C,side,side) x cell of pictures (N,C,H,W); a corner per clip, in latents of `cell` pixels."""
    frames = len(pictures) // len(corners)
    parts = []
    for i, (row, column) in enumerate(corners):
        rows, columns = (
            slice(row * cell, (row + side) * cell),
            slice(column * cell, (column + side) * cell),
        )
        parts.append(pictures[i * frames : (i + 1) * frames, :, rows, columns])
    return torch.cat(parts)


def rng_of(seed: int, step: int) -> torch.Generator:
    """A generator for one training step, so that a resumed run draws as an unbroken one."""
    return torch.Generator().manual_seed(
        int(np.random.SeedSequence([seed, step]).generate_state(1)[0])
    )
