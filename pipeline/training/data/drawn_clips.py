"""Drawn presenters as both sets of APV-Gen: close-ups for D_f, full bodies for D_b.

A close-up is a window around the head of a drawn full body. So its outpainted reference need not be
invented: it is the drawing around the window, moved to where the window is placed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from pipeline.training.data import presenters, talks
from pipeline.training.data.fda_sampling import PAPER, Placement, draw_placement, place_points
from pipeline.training.data.filming import FAR_SECONDS, draw_cast
from pipeline.training.data.presenters import acting
from pipeline.training.data.presenters.rows import Rows
from pipeline.training.data.speech import engines
from pipeline.training.data.training_clips import Kind, Outpainted, TrainingClip
from pipeline.values import Pose

FPS = 12.5
METHOD = "drawn"
# among so many drawn people is one who stands from head to foot, almost surely
CANDIDATES = 12
# of the picture: the window of a close-up, as large as the paper's mean placement
WINDOW = (PAPER.width_share, PAPER.height_share)
HEAD_OF_FACE = 1.5  # chin to crown, over chin to brows
WINDOW_TOP_HEADS = 0.55  # from the window's upper edge to the crown, in head heights
CLOSE_UP_SCALE = 2  # close-ups are drawn so many times as large, so that they are not blurred
SPARE_FRAMES = 4  # more than a training clip takes, so that its start varies


@dataclass(frozen=True)
class DrawnClips:
    """Clips of one kind, each of a new person: a `ClipSource`.

    kind: "face" or "body". count: of clips. frames: that a batch takes. size: (H, W) of a
    full-body picture. seed: of the people; no other seed or kind has the same. bank: what they say.
    """

    kind: Kind
    count: int
    frames: int
    size: tuple[int, int]
    seed: int
    bank: talks.Bank

    def __len__(self) -> int:
        return self.count

    def clip(self, index: int) -> TrainingClip:
        """Draw one clip; the same index gives the same clip."""
        number = self.seed * 1_000_003 + index * 2 + (self.kind == "face")
        generator = torch.Generator().manual_seed(number)
        length = self.frames + SPARE_FRAMES
        film = _film_full_body(generator, length, self._drawing_size(), self.bank)
        if self.kind == "body":
            return TrainingClip(
                kind="body",
                frames=film.frames,
                pose=film.pose,
                samples=film.samples,
                outpainted=None,
                source=self._name(index),
            )
        return _close_up(film, np.random.default_rng(number), self._name(index))

    def _drawing_size(self) -> tuple[int, int]:
        """Return (H, W) of the drawn full bodies."""
        height, width = self.size
        scale = CLOSE_UP_SCALE if self.kind == "face" else 1
        return height * scale, width * scale

    def _name(self, index: int) -> str:
        return f"drawn {self.kind} {index} of seed {self.seed}"


@dataclass(frozen=True)
class _Film:
    """A full body that speaks: frames (T,H,W,3) uint8, exact pose, sound (n,) at 16 kHz."""

    frames: np.ndarray
    pose: Pose
    samples: np.ndarray


def _film_full_body(
    generator: torch.Generator, length: int, size: tuple[int, int], bank: talks.Bank
) -> _Film:
    """Draw a person from head to foot who says a part of a talk."""
    cast = draw_cast(generator, CANDIDATES, bank)
    smallest_head = int(cast.people.head.argmin())
    person = _row(cast, smallest_head)
    offsets = torch.arange(length) / FPS
    offsets = offsets.view(1, length)
    talk_seconds = float(bank.seconds(person.talk))
    chance, moment = torch.rand(2, generator=generator).tolist()
    start = chance * max(talk_seconds - length / FPS, 0)
    motion_times = FAR_SECONDS * moment + offsets
    cues = bank.cues(person.talk, start + offsets)
    dofs = acting.act(person.moves, person.manner, cues, motion_times)
    scene = presenters.render(person.people, dofs, size)
    pictures = scene.image[0] * 255
    pictures = pictures.round().to(torch.uint8)
    frames = pictures.permute(0, 2, 3, 1)
    frames = frames.contiguous()
    return _Film(
        frames=frames.numpy(),
        pose=presenters.pose(scene, 0, FPS),
        samples=_sound(bank.talks[int(person.talk)], start, length),
    )


def _row(cast: Rows, number: int) -> Rows:
    """Select one person of a cast."""
    return cast[torch.tensor([number])]


def _sound(talk: talks.Talk, start: float, length: int) -> np.ndarray:
    """Return the talk's samples (n,) float32 from `start` seconds on; zeros after its end."""
    rate = engines.SAMPLE_RATE
    first = round(start * rate)
    count = round(length / FPS * rate)
    part = talk.samples[first : first + count]
    sound = np.zeros(count, np.float32)
    sound[: len(part)] = part
    return sound / np.float32(talks.INT16)


def _close_up(film: _Film, generator: np.random.Generator, source: str) -> TrainingClip:
    """Cut a window around the head out of a film; the reference is the picture around it."""
    window = _window(film.pose)
    height, width = film.frames.shape[1:3]
    corner = np.rint(window.offset * (width, height)).astype(int)
    sides = np.rint(window.scale * (width, height)).astype(int)
    left, top = corner
    right, bottom = corner + sides
    frames = film.frames[:, top:bottom, left:right]
    whole = Placement(1 / window.scale, -window.offset / window.scale)
    pose = place_points(film.pose, whole, (bottom - top, right - left))
    frame = int(generator.integers(len(frames)))
    placement = draw_placement(generator)
    picture = _move(film.frames[frame], window, placement)
    return TrainingClip(
        kind="face",
        frames=np.ascontiguousarray(frames),
        pose=pose,
        samples=film.samples,
        outpainted=Outpainted(picture, placement, frame, METHOD),
        source=source,
    )


def _window(pose: Pose) -> Placement:
    """Return the window around the head over all frames: its sides and its upper left corner."""
    x, y = np.moveaxis(pose.face.xy, 2, 0)
    middle = x.mean()
    brow = y.min(1).mean()
    chin = y.max(1).mean()
    head = HEAD_OF_FACE * (chin - brow)
    top = chin - head - WINDOW_TOP_HEADS * head
    sides = np.array(WINDOW)
    corner = np.array([middle - sides[0] / 2, top])
    corner = corner.clip(0, 1 - sides)
    return Placement(sides, corner)


def _move(picture: np.ndarray, window: Placement, placement: Placement) -> np.ndarray:
    """Move a picture (H,W,3) so that the window lies where `placement` says; borders go on."""
    height, width = picture.shape[:2]
    pixels = np.array([width, height])
    scale = placement.scale / window.scale
    offset = (placement.offset - scale * window.offset) * pixels
    matrix = np.array([[scale[0], 0, offset[0]], [0, scale[1], offset[1]]])
    return cv2.warpAffine(
        picture,
        matrix,
        (width, height),
        flags=cv2.INTER_AREA,
        borderMode=cv2.BORDER_REPLICATE,
    )
