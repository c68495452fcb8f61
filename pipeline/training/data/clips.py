"""The training pool: drawn clips, warped by the shipped warp, kept as uint8 shards that a side process fills.

A clip is one reference picture and a few target frames. Key points are as inexact as a detector's, and the
warp gets the person's mask in part of the clips only, as users' pictures do.
"""

from __future__ import annotations

import functools
import logging
import multiprocessing
import os
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.render import warp
from pipeline.training.data import presenters, talks
from pipeline.training.data.presenters import acting
from pipeline.training.data.presenters.camera import record
from pipeline.training.data.presenters.rows import Rows
from pipeline.values import InputError

log = logging.getLogger(__name__)

SIZES = ((192, 128), (128, 128), (128, 192), (224, 128))  # (H, W); short side 128, multiples of 16
SHARES = (0.6, 0.15, 0.15, 0.1)
FRAMES = 4
CHUNK = 8  # frames that are drawn and warped at a time
FORMAT = 4  # of shards: those of older drawings are not mixed in
CLIPS = 8  # per shard, about 6 MB
SHARDS = 450
JITTER = 1.2  # pixels at a short side of 128, the largest standard deviation of a clip
# RMS error in x or y over all clips: .69 (body, hands), as .49 is new in every frame and .49 constant over a
# clip; half of that for faces of TALL_FACE or more, about .25 for those of the pool. MediaPipe's on six
# held-out people, less each point's mean over them: 1.6 (body), 1.4 (hands), .5 (face)
TOKENS = (5, 160)  # per frame: offsets of `audio2pose.TOKEN_OFFSETS_SECONDS`, channels
WITHHELD = [*range(3, 14), *range(48, 68)]  # face points that speech moves: jaw and lips
WITHHELD_SHARE = 0.2  # of clips
PROPORTIONS_SHARE, PROPORTIONS = (
    0.3,
    0.12,
)  # of clips whose driver has other bones, by about that much
CALM_SHARE = 0.5  # of clips whose driver moves as much as a real speaker, not as lively as can be
TEXTURED_SHARE = 0.35  # of clips whose holes are filled with texture, as the pipeline does
FILL = functools.partial(
    warp.textured, finest=48
)  # at 128 cells, as in use, it takes 1 s a picture, not .1
MARGIN = 0.5  # s of silence taken before and after a talk
PER_CLIP = ("reference", "lips")  # fields without a frame axis
MASKED = 0.85  # share of clips with the person's mask, as almost every user's picture has one
GROWN, SHRUNK = 0.31, 0.23  # of these masks: by a pixel too large, too small
TALL_FACE = 25.0  # pixels from points 27 to 8: smaller faces get less jitter
HELD_OUT = 9_000_000  # seeds from here on are never trained on


@dataclass
class Clips:
    """N clips of F frames, uint8 but for the points; see `pictures` for floats.

    reference (N,3,H,W); truth, warped (N,F,3,H,W); validity (N,F,1,H,W); body (N,F,18,3), hands (N,F,42,3),
    face (N,F,68,3) are inexact key points of the truth. audio (N,F,5,160) float16 are Audio2Pose's tokens
    around each frame, loudness (N,F) in [0,1] the RMS between its 10th and 95th percentile of the speech.
    lips (N,) is 1, or 0 where the lips were withheld: the warp moved the reference's own mouth and jaw
    rigidly with the head and the skeleton shows neither, so that sound alone tells how the mouth is.
    """

    reference: Tensor
    truth: Tensor
    warped: Tensor
    validity: Tensor
    body: Tensor
    hands: Tensor
    face: Tensor
    audio: Tensor
    loudness: Tensor
    lips: Tensor

    def __len__(self) -> int:
        return len(self.reference)

    def __getitem__(self, rows: slice | list[int] | Tensor) -> Clips:
        return Clips(*(getattr(self, f.name)[rows] for f in fields(self)))

    @property
    def size(self) -> tuple[int, int]:
        return tuple(self.reference.shape[-2:])

    def frame(self, number: int) -> Clips:
        """The clips with one of their frames, F = 1."""
        part = slice(number, number + 1)
        framed = {
            f.name: getattr(self, f.name)[:, part] for f in fields(self) if f.name not in PER_CLIP
        }
        return replace(self, **framed)

    @staticmethod
    def join(parts: list[Clips]) -> Clips:
        return Clips(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Clips)))

    def save(self, path: Path) -> None:
        """Writes a `.npz` through a temporary file, so that readers never see half a shard."""
        draft = path.with_suffix(".tmp")
        with open(draft, "wb") as file:
            np.savez(
                file, format=FORMAT, **{f.name: getattr(self, f.name).numpy() for f in fields(self)}
            )
        os.replace(draft, path)

    @staticmethod
    def load(path: Path) -> Clips:
        if not _is_current(path):
            raise InputError(
                f"{path.name} holds clips of an older drawing; delete it to have it drawn anew"
            )
        with np.load(path, allow_pickle=False) as file:
            return Clips(*(torch.from_numpy(file[f.name]) for f in fields(Clips)))


def draw_clips(
    generator: torch.Generator,
    count: int,
    size: tuple[int, int],
    frames: int = FRAMES,
    bank: talks.Bank | None = None,
    device: torch.device | str = "cpu",
) -> Clips:
    """`count` clips of new people who say talks of `bank`, None for the held-out one; drawn on `device`.

    The clips lie on the CPU. There two people at a time are drawn, as first-touched memory is slow on virtual
    machines; elsewhere 16.
    """
    bank = bank or talks.held_out()
    group = 2 if torch.device(device).type == "cpu" else 16
    sizes = [min(group, count - i) for i in range(0, count, group)]
    return Clips.join([_draw(generator, people, size, frames, bank, device) for people in sizes])


def _draw(
    generator: torch.Generator,
    count: int,
    size: tuple[int, int],
    frames: int,
    bank: talks.Bank,
    device: torch.device | str,
) -> Clips:
    cast = cast_of(generator, count, bank)
    spoken, moved = _times(generator, bank.seconds(cast.talk), frames)
    cast, cues, moved = cast.to(device), bank.cues(cast.talk, spoken).to(device), moved.to(device)
    lips = (torch.rand(count, generator=generator) >= WITHHELD_SHARE).float()
    chance = torch.rand(3, generator=generator)
    act = acting.act_calmly if chance[2] < CALM_SHARE else acting.act
    dofs = act(cast.moves, cast.manner, cues, moved)
    spread = PROPORTIONS if chance[0] < PROPORTIONS_SHARE else 0.0
    driven = presenters.change_proportions(cast.people, generator, spread)
    fill = FILL if chance[1] < TEXTURED_SHARE else None
    return filmed(cast.people, dofs, cues, lips, size, JITTER, generator, driven, fill).clips


@dataclass
class Cast(Rows):
    """Who plays: people, their random motion, their manner and the talk (B,) that they give."""

    people: presenters.Identities
    moves: presenters.Motions
    manner: acting.Manner
    talk: Tensor


def cast_of(generator: torch.Generator, count: int, bank: talks.Bank) -> Cast:
    people = presenters.draw_identities(generator, count)
    moves = presenters.draw_motions(generator, count)
    talk = torch.randint(len(bank), (count,), generator=generator)
    return Cast(people, moves, acting.draw_manners(generator, count), talk)


@dataclass
class Filmed:
    """Clips; exact face points (B,T,68,3) of their targets; their reference's points and mask (B,1,1,H,W)."""

    clips: Clips
    face: Tensor
    reference: warp.Points
    mask: Tensor


def filmed(
    people: presenters.Identities,
    dofs: presenters.Dofs,
    cues: talks.Cues,
    lips: Tensor,
    size: tuple[int, int],
    jitter: float,
    generator: torch.Generator,
    driven: presenters.Identities | None = None,
    fill: warp.Fill | None = None,
) -> Filmed:
    """Clips whose reference is frame 0 of the dofs.

    `jitter` is the largest standard deviation, in pixels, of the points' error. `driven`: the same people as
    they are in the targets, where a driver's proportions are not the reference's.
    """
    driven = people if driven is None else driven
    scene = _rendered(people, driven, dofs, size, generator)
    level = jitter * torch.rand((len(people), 1, 1, 1), generator=generator)
    body, hands = (_inexact(p, level, size, generator) for p in (scene.body, scene.hands))
    face = _inexact(scene.face, level * _face_jitter(scene.face, size).cpu(), size, generator)
    shown = face.clone()
    still = (
        face + presenters.still_mouth(driven, dofs, size) - scene.face
    )  # as inexact as the others
    shown[:, :, WITHHELD] = torch.where(lips.to(face).view(-1, 1, 1, 1) > 0, face, still)[
        :, :, WITHHELD
    ]
    reference = warp.Points(body[:, :1], hands[:, :1], face[:, :1])
    mask = inexact_mask(scene.mask[:, 0], torch.rand((), generator=generator).item())
    layers = warp.plates(scene.image[:, 0], reference, mask, fill)
    target = warp.Points(body[:, 1:], hands[:, 1:], shown[:, 1:])
    warped = [warp.warp(layers, target[part]) for part in _chunks(target.body.shape[1])]
    moved, valid = (
        torch.cat([w.image for w in warped], 1),
        torch.cat([w.validity for w in warped], 1),
    )
    pictures = (scene.image[:, 0], scene.image[:, 1:], moved, valid)
    points = (body[:, 1:], hands[:, 1:], face[:, 1:])
    sound = (cues.audio[:, 1:], cues.loudness[:, 1:])
    clips = Clips(*(p.cpu() for p in (*map(_bytes, pictures), *points, *sound, lips)))
    return Filmed(clips, scene.face[:, 1:].cpu(), reference, scene.mask[:, :1].cpu())


def draw_scenes(
    generator: torch.Generator, count: int, size: tuple[int, int], frames: int, bank: talks.Bank
) -> presenters.Scene:
    """`count` new people as `draw_clips` draws them, `frames` moments each, without reference and warp."""
    cast = cast_of(generator, count, bank)
    spoken, moved = _times(generator, bank.seconds(cast.talk), frames - 1)
    dofs = acting.act(cast.moves, cast.manner, bank.cues(cast.talk, spoken), moved)
    return _rendered(cast.people, cast.people, dofs, size, generator)


def _chunks(frames: int) -> list[slice]:
    """Runs of a few frames: first-touched memory is slow on virtual machines, large blocks are never kept."""
    return [slice(start, start + CHUNK) for start in range(0, frames, CHUNK)]


def _rendered(
    people: presenters.Identities,
    driven: presenters.Identities,
    dofs: presenters.Dofs,
    size: tuple[int, int],
    generator: torch.Generator,
) -> presenters.Scene:
    """Frame 0 of `people`, the rest of the same people with the proportions of `driven`."""
    first, rest = dofs.frames(slice(0, 1)), dofs.frames(slice(1, None))
    parts = [presenters.render(people, first, size)]
    parts += [
        presenters.render(driven, rest.frames(part), size) for part in _chunks(rest.lean.shape[1])
    ]
    columns = [[getattr(part, f.name) for part in parts] for f in fields(presenters.Scene)]
    scene = presenters.Scene(*(torch.cat(column, 1) for column in columns))
    clips = [record(clip, generator) for clip in scene.image.cpu()]
    scene.image = torch.stack(clips).to(scene.mask)
    return scene


def _times(generator: torch.Generator, seconds: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Moments (B, 1 + frames) of the talks (B,) and of the random motion: the reference's, then the targets'.

    Half of the clips are runs with 0.04 to 0.2 s between frames; in the others the frames are far apart. The
    reference is far away in pose, often silent. A talk is silent before its start and after its end.
    """
    count = len(seconds)

    def anywhere(columns: int) -> Tensor:
        share = torch.rand((count, columns), generator=generator)
        return share * (seconds[:, None] + 2 * MARGIN) - MARGIN

    order = torch.arange(frames)[None]
    step = 0.04 + 0.16 * torch.rand((count, 1), generator=generator)
    run = torch.rand((count, 1), generator=generator) < 0.5
    spoken = torch.where(run, anywhere(1) + step * order, anywhere(frames))
    start = 600 * torch.rand((count, 1), generator=generator)
    apart = 600 * torch.rand((count, frames), generator=generator)
    moved = torch.where(run, start + step * order, apart)
    silent = torch.rand((count, 1), generator=generator) < 0.35
    first = torch.where(silent, torch.full((count, 1), -MARGIN), anywhere(1))
    far = 600 * torch.rand((count, 1), generator=generator)
    return torch.cat([first, spoken], 1), torch.cat([far, moved], 1)


def _face_jitter(face: Tensor, size: tuple[int, int]) -> Tensor:
    """(B,1,1,1) share of the jitter that face points get: the most exact ones, and more so on small faces."""
    tall = (face[:, :, 8, 1] - face[:, :, 27, 1]).abs().mean(1) * size[0]
    return 0.5 * (tall / TALL_FACE).clamp_max(1).view(-1, 1, 1, 1)


def _inexact(
    points: Tensor, level: Tensor, size: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Points with a detector's error: half of it new in every frame, half constant over the clip."""
    pixel = torch.tensor([1.0 / size[1], 1.0 / size[0]])
    each = torch.randn(points[..., :2].shape, generator=generator)
    habit = torch.randn(points[:, :1, :, :2].shape, generator=generator)
    shift = ((0.7 * each + 0.7 * habit) * level * pixel).to(points)
    return torch.cat([points[..., :2] + shift, points[..., 2:]], -1)


def inexact_mask(mask: Tensor, kind: float) -> Tensor | None:
    """The true mask, grown or shrunk by a pixel, softened, as `kind` in [0, 1) says; None from MASKED on."""
    if kind >= MASKED:
        return None
    if kind < GROWN * MASKED:
        mask = F.max_pool2d(mask, 3, 1, 1)
    elif kind < (GROWN + SHRUNK) * MASKED:
        mask = -F.max_pool2d(-mask, 3, 1, 1)
    return F.avg_pool2d(mask, 3, 1, 1)


def _bytes(pictures: Tensor) -> Tensor:
    return (pictures.clamp(0, 1) * 255).round().to(torch.uint8)


def _is_current(path: Path) -> bool:
    with np.load(path, allow_pickle=False) as file:
        return "format" in file.files and int(file["format"]) == FORMAT


def shards(folder: Path) -> list[Path]:
    """The pool's shards, by name; those of older drawings are passed over."""
    return [path for path in sorted(folder.glob("*.npz")) if _known(path, path.stat().st_mtime_ns)]


@functools.cache
def _known(path: Path, changed: int) -> bool:
    return _is_current(path)


def fill(
    folder: str, seed: int, count: int = SHARDS, scale: float = 1.0, device: str = "cpu"
) -> None:
    """Draws shards into `folder` until there are `count` of them; those that exist are passed over.

    The speech bank, `scale` times the plain size, is made first and kept beside `folder`.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    os.nice(5)
    parent, bank = os.getppid(), talks.bank(Path(folder).parent, seed, scale)
    for number in range(count):
        path = Path(folder) / f"{seed}-{number:05d}.npz"
        if path.exists() and _is_current(path):
            continue
        if os.getppid() != parent:  # the training has ended
            return
        began = time.process_time()
        generator = torch.Generator().manual_seed(seed * 100_000 + number)
        kind = torch.multinomial(torch.tensor(SHARES), 1, generator=generator).item()
        draw_clips(generator, CLIPS, SIZES[kind], FRAMES, bank, device).save(path)
        if number < 3:
            print(
                f"shard {number}: {time.process_time() - began:.1f} CPU-s for {CLIPS * FRAMES} frames",
                flush=True,
            )


def start_filling(
    folder: Path, seed: int, count: int = SHARDS, scale: float = 1.0, device: str = "cpu"
) -> multiprocessing.Process:
    """A side process that fills the pool while the training runs; it ends with its parent."""
    process = multiprocessing.get_context("spawn").Process(
        target=fill, args=(str(folder), seed, count, scale, device), daemon=True
    )
    process.start()
    return process
