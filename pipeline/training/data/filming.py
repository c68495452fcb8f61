"""Draw training clips: people who speak and move, and the shipped warp of their reference.

Key points are as inexact as a detector's. The warp gets the person's mask in part of the clips
only, as it does with users' pictures.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.render import warp
from pipeline.training.data import presenters, talks
from pipeline.training.data.clips import FRAMES, WITHHELD, Clips
from pipeline.training.data.presenters import acting
from pipeline.training.data.presenters.camera import record
from pipeline.training.data.presenters.rows import Rows

CHUNK_FRAMES = 8  # drawn and warped at a time
# Largest standard deviation of a clip's points, at a short side of 128 pixels. The RMS error in x
# or y over all clips is 0.69 (body, hands): 0.49 is new in every frame and 0.49 constant over a
# clip. It is half of that for faces of TALL_FACE_PX or more, about 0.25 for those of the pool.
# MediaPipe's error on six held-out people, less each point's mean over them, is 1.6 (body),
# 1.4 (hands), 0.5 (face).
JITTER_PX = 1.2
TALL_FACE_PX = 25.0  # from points 27 to 8: smaller faces get less jitter
WITHHELD_SHARE = 0.2  # of clips
PROPORTIONS_SHARE = 0.3  # of clips whose driver has other bones
PROPORTIONS_SPREAD = 0.12  # standard deviation of the factors of these bones
CALM_SHARE = 0.5  # of clips whose driver moves as much as a real speaker, not as lively as can be
TEXTURED_SHARE = 0.35  # of clips whose holes are filled with texture, as the pipeline does
# at 128 cells, as in use, it takes 1 s a picture instead of 0.1 s
FILL = functools.partial(warp.textured, finest=48)
MARGIN_SECONDS = 0.5  # of silence taken before and after a talk
FAR_SECONDS = 600  # within it two moments of a random motion are unrelated poses
MASKED = 0.85  # share of clips with the person's mask, as almost every user's picture has one
GROWN_SHARE = 0.31  # of these masks are too large by a pixel
SHRUNK_SHARE = 0.23  # of these masks are too small by a pixel
_PEOPLE_PER_CPU_DRAWING = 2  # first-touched memory is slow on virtual machines
_PEOPLE_PER_GPU_DRAWING = 16


def draw_clips(
    generator: torch.Generator,
    count: int,
    size: tuple[int, int],
    frames: int = FRAMES,
    bank: talks.Bank | None = None,
    device: torch.device | str = "cpu",
) -> Clips:
    """Draw clips of new people who speak; the clips lie on the CPU.

    Args:
        generator: source of all randomness.
        count: how many clips.
        size: (H, W) in pixels.
        frames: target frames per clip.
        bank: what they say; None for the held-out talks.
        device: where the pictures are drawn and warped.
    """
    bank = bank or talks.held_out()
    is_cpu = torch.device(device).type == "cpu"
    group = _PEOPLE_PER_CPU_DRAWING if is_cpu else _PEOPLE_PER_GPU_DRAWING
    parts = []
    for start in range(0, count, group):
        people = min(group, count - start)
        parts.append(_draw_group(generator, people, size, frames, bank, device))
    return Clips.join(parts)


def _draw_group(
    generator: torch.Generator,
    count: int,
    size: tuple[int, int],
    frames: int,
    bank: talks.Bank,
    device: torch.device | str,
) -> Clips:
    """Draw clips of people who share the chances of a calm driver, other bones and texture."""
    cast = draw_cast(generator, count, bank)
    moments = _draw_moments(generator, bank.seconds(cast.talk), frames)
    cues = bank.cues(cast.talk, moments.speech).to(device)
    cast = cast.to(device)
    motion_times = moments.motion.to(device)
    lips = (torch.rand(count, generator=generator) >= WITHHELD_SHARE).float()
    proportions_chance, texture_chance, calm_chance = torch.rand(3, generator=generator)
    act = acting.act_calmly if calm_chance < CALM_SHARE else acting.act
    dofs = act(cast.moves, cast.manner, cues, motion_times)
    spread = PROPORTIONS_SPREAD if proportions_chance < PROPORTIONS_SHARE else 0.0
    driver = presenters.change_proportions(cast.people, generator, spread)
    fill = FILL if texture_chance < TEXTURED_SHARE else None
    return film(cast.people, dofs, cues, lips, size, JITTER_PX, generator, driver, fill).clips


@dataclass
class Cast(Rows):
    """Who plays: people, their random motion, their manner and the talk that they give."""

    people: presenters.Identities
    moves: presenters.Motions
    manner: acting.Manner
    talk: Tensor  # (B,) rows of a bank


def draw_cast(generator: torch.Generator, count: int, bank: talks.Bank) -> Cast:
    """Draw `count` new people, each with a talk of the bank."""
    people = presenters.draw_identities(generator, count)
    moves = presenters.draw_motions(generator, count)
    talk = torch.randint(len(bank), (count,), generator=generator)
    return Cast(people, moves, acting.draw_manners(generator, count), talk)


@dataclass
class FilmedClips:
    """Clips and what is exactly known about them."""

    clips: Clips
    face: Tensor  # (B, T, 68, 3) exact face points of the targets
    reference: warp.Points  # inexact, as the warp got them
    mask: Tensor  # (B, 1, 1, H, W) exact mask of the reference


def film(
    people: presenters.Identities,
    dofs: presenters.Dofs,
    cues: talks.Cues,
    lips: Tensor,
    size: tuple[int, int],
    jitter_px: float,
    generator: torch.Generator,
    driver: presenters.Identities | None = None,
    fill: warp.Fill | None = None,
) -> FilmedClips:
    """Draw and warp clips whose reference is frame 0 of the dofs.

    Args:
        people: B people as the reference shows them.
        dofs: (B, 1 + T, ...) their motion.
        cues: (B, 1 + T, ...) their speech.
        lips: (B,) 0 where the lips are withheld.
        size: (H, W) in pixels.
        jitter_px: largest standard deviation of the points' error.
        generator: source of all randomness.
        driver: the same people in the targets, if their proportions differ there.
        fill: how the warp fills holes.
    """
    driver = people if driver is None else driver
    scene = _render(people, driver, dofs, size, generator)
    level = jitter_px * torch.rand((len(people), 1, 1, 1), generator=generator)
    body = _jitter(scene.body, level, size, generator)
    hands = _jitter(scene.hands, level, size, generator)
    face_level = level * _face_jitter_share(scene.face, size).cpu()
    face = _jitter(scene.face, face_level, size, generator)
    shown_face = _withhold_lips(face, scene, lips, presenters.still_mouth(driver, dofs, size))

    reference = warp.Points(body[:, :1], hands[:, :1], face[:, :1])
    target = warp.Points(body[:, 1:], hands[:, 1:], shown_face[:, 1:])
    mask = inexact_mask(scene.mask[:, 0], torch.rand((), generator=generator).item())
    layers = warp.plates(scene.image[:, 0], reference, mask, fill)
    warped = [warp.warp(layers, target[part]) for part in _chunks(target.body.shape[1])]
    clips = Clips(
        reference=_bytes(scene.image[:, 0]).cpu(),
        truth=_bytes(scene.image[:, 1:]).cpu(),
        warped=_bytes(torch.cat([part.image for part in warped], 1)).cpu(),
        validity=_bytes(torch.cat([part.validity for part in warped], 1)).cpu(),
        body=body[:, 1:].cpu(),
        hands=hands[:, 1:].cpu(),
        face=face[:, 1:].cpu(),
        audio=cues.audio[:, 1:].cpu(),
        loudness=cues.loudness[:, 1:].cpu(),
        lips=lips.cpu(),
    )
    return FilmedClips(clips, scene.face[:, 1:].cpu(), reference, scene.mask[:, :1].cpu())


def draw_scenes(
    generator: torch.Generator, count: int, size: tuple[int, int], frames: int, bank: talks.Bank
) -> presenters.Scene:
    """Draw `count` new people as `draw_clips` does, `frames` moments each, without a warp."""
    cast = draw_cast(generator, count, bank)
    moments = _draw_moments(generator, bank.seconds(cast.talk), frames - 1)
    cues = bank.cues(cast.talk, moments.speech)
    dofs = acting.act(cast.moves, cast.manner, cues, moments.motion)
    return _render(cast.people, cast.people, dofs, size, generator)


def _render(
    people: presenters.Identities,
    driver: presenters.Identities,
    dofs: presenters.Dofs,
    size: tuple[int, int],
    generator: torch.Generator,
) -> presenters.Scene:
    """Render frame 0 of `people`, and the rest with the proportions of `driver`."""
    first = dofs.frames(slice(0, 1))
    rest = dofs.frames(slice(1, None))
    parts = [presenters.render(people, first, size)]
    for chunk in _chunks(rest.lean.shape[1]):
        parts.append(presenters.render(driver, rest.frames(chunk), size))
    columns = []
    for field in fields(presenters.Scene):
        columns.append(torch.cat([getattr(part, field.name) for part in parts], 1))
    scene = presenters.Scene(*columns)
    clips = [record(clip, generator) for clip in scene.image.cpu()]
    scene.image = torch.stack(clips).to(scene.mask)
    return scene


def _chunks(frames: int) -> list[slice]:
    """Split frames into short runs, because first-touched memory is slow on virtual machines.

    Large blocks are never kept there.
    """
    return [slice(start, start + CHUNK_FRAMES) for start in range(0, frames, CHUNK_FRAMES)]


@dataclass(frozen=True)
class _Moments:
    """Moments (B, 1 + frames) in seconds: the reference's, then the targets'."""

    speech: Tensor  # of the talks
    motion: Tensor  # of the random motion


def _draw_moments(generator: torch.Generator, seconds: Tensor, frames: int) -> _Moments:
    """Draw the moments of talks that last `seconds` (B,).

    Half of the clips are runs with 0.04 to 0.2 s between frames; in the others the frames are far
    apart. The reference is far away in pose, often silent. A talk is silent before its start and
    after its end.
    """
    count = len(seconds)

    def chance(columns: int = 1) -> Tensor:
        return torch.rand((count, columns), generator=generator)

    def anywhere(columns: int) -> Tensor:
        span = seconds[:, None] + 2 * MARGIN_SECONDS
        return chance(columns) * span - MARGIN_SECONDS

    order = torch.arange(frames)[None]
    step = 0.04 + 0.16 * chance()
    is_run = chance() < 0.5
    run_speech = anywhere(1) + step * order
    speech = torch.where(is_run, run_speech, anywhere(frames))
    run_motion = FAR_SECONDS * chance() + step * order
    motion = torch.where(is_run, run_motion, FAR_SECONDS * chance(frames))
    is_silent = chance() < 0.35
    silence = torch.full((count, 1), -MARGIN_SECONDS)
    reference_speech = torch.where(is_silent, silence, anywhere(1))
    reference_motion = FAR_SECONDS * chance()
    return _Moments(
        speech=torch.cat([reference_speech, speech], 1),
        motion=torch.cat([reference_motion, motion], 1),
    )


def _withhold_lips(
    face: Tensor, scene: presenters.Scene, lips: Tensor, still_face: Tensor
) -> Tensor:
    """Give clips with `lips` 0 the jaw and mouth of frame 0, as inexact as the other points."""
    still = face + still_face - scene.face
    is_shown = lips.to(face).view(-1, 1, 1, 1) > 0
    chosen = torch.where(is_shown, face, still)
    shown = face.clone()
    shown[:, :, WITHHELD] = chosen[:, :, WITHHELD]
    return shown


def _face_jitter_share(face: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (B, 1, 1, 1) the share of the jitter for face points, the most exact ones.

    Detectors are even more exact on small faces, counted in pixels.
    """
    height = (face[:, :, 8, 1] - face[:, :, 27, 1]).abs().mean(1) * size[0]
    share = (height / TALL_FACE_PX).clamp_max(1)
    return 0.5 * share.view(-1, 1, 1, 1)


def _jitter(
    points: Tensor, level: Tensor, size: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Add a detector's error: half of it new in every frame, half constant over the clip."""
    height, width = size
    pixel = torch.tensor([1.0 / width, 1.0 / height])
    xy = points[..., :2]
    per_frame = torch.randn(xy.shape, generator=generator)
    per_clip = torch.randn(xy[:, :1].shape, generator=generator)
    error = 0.7 * per_frame + 0.7 * per_clip
    shift = (error * level * pixel).to(points)
    return torch.cat([xy + shift, points[..., 2:]], -1)


def inexact_mask(mask: Tensor, kind: float) -> Tensor | None:
    """Grow or shrink the true mask by a pixel and soften it, as `kind` in [0, 1) says.

    Returns None from MASKED on.
    """
    if kind >= MASKED:
        return None
    if kind < GROWN_SHARE * MASKED:
        mask = F.max_pool2d(mask, 3, 1, 1)
    elif kind < (GROWN_SHARE + SHRUNK_SHARE) * MASKED:
        mask = -F.max_pool2d(-mask, 3, 1, 1)
    return F.avg_pool2d(mask, 3, 1, 1)


def _bytes(pictures: Tensor) -> Tensor:
    return (pictures.clamp(0, 1) * 255).round().to(torch.uint8)
