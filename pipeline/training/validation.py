"""Validation clips: full-body clips that no step sees, rendered as a user would render them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from pipeline.media import write_video
from pipeline.motion import skeleton
from pipeline.training.apv_gen_networks import Networks
from pipeline.training.clip_batches import ClipShape, choose_rows, crop_clip
from pipeline.training.data.clips import TOKENS
from pipeline.training.data.training_clips import ClipSource, TrainingClip
from pipeline.values import Motion, Pose, Video

SHEET_FRAMES = 3  # of a clip: first, middle, last


@dataclass(frozen=True)
class RenderedClip:
    """A clip that was rendered, beside its truth: frames (F,H,W,3) uint8, reference (H,W,3)."""

    reference: np.ndarray
    skeletons: np.ndarray
    rendered: np.ndarray
    truth: np.ndarray
    fps: float


def render_clips(
    networks: Networks, source: ClipSource, shape: ClipShape, steps: int, seed: int
) -> list[RenderedClip]:
    """Render all clips of a source with the networks as they are."""
    clips = []
    for index in range(len(source)):
        generator = np.random.default_rng((seed, index))
        clips.append(render_clip(networks, source.clip(index), shape, steps, generator))
    return clips


def render_clip(
    networks: Networks,
    clip: TrainingClip,
    shape: ClipShape,
    steps: int,
    generator: np.random.Generator,
) -> RenderedClip:
    """Render one full-body clip: its first frame is the reference image.

    Args:
        networks: of the run.
        clip: a full-body clip.
        shape: of the run's batches.
        steps: of the denoiser.
        generator: draws the frames and the noise.
    """
    rows = choose_rows(len(clip), shape, clip.source, generator)
    view = crop_clip(clip, rows, shape, generator)
    motion = motion_of(view.pose)
    noise = torch.Generator().manual_seed(int(generator.integers(2**31)))
    height, width = shape.size
    parts = networks.pipe.render(
        view.frames[0],
        motion,
        num_inference_steps=steps,
        height=height,
        width=width,
        generator=noise,
    )
    frames = [part.frames for part in parts if part.frames is not None]
    return RenderedClip(
        reference=view.frames[0],
        skeletons=skeleton.draw(view.pose, shape.size, shape.style),
        rendered=np.concatenate(frames),
        truth=view.frames,
        fps=clip.pose.fps,
    )


def motion_of(pose: Pose) -> Motion:
    """Return the motion of a pose whose first frame is the reference; silent, at plain control."""
    count = len(pose)
    return Motion(
        pose=pose,
        reference=pose[:1],
        mask=None,
        mesh=None,
        intensity=np.zeros(count),
        excitation=np.zeros(count),
        control_strength=np.ones(count),
        audio_tokens=np.zeros((count, *TOKENS), np.float32),
    )


def write_clips(clips: list[RenderedClip], folder: Path) -> np.ndarray:
    """Write every clip as a video beside its truth; return a sheet (H,W,3) of all clips."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, clip in enumerate(clips):
        both = np.concatenate([clip.skeletons, clip.rendered, clip.truth], 2)
        write_video(folder / f"clip_{number}.mp4", Video(both, clip.fps, None))
        rows.append(_sheet_row(clip))
    sheet = np.concatenate(rows)
    cv2.imwrite(str(folder / "sheet.png"), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    return sheet


def _sheet_row(clip: RenderedClip) -> np.ndarray:
    """Put the reference, then skeleton, rendering and truth of some frames side by side."""
    pictures = [clip.reference]
    last = len(clip.truth) - 1
    for frame in np.linspace(0, last, SHEET_FRAMES).round().astype(int):
        pictures.append(clip.skeletons[frame])
        pictures.append(clip.rendered[frame])
        pictures.append(clip.truth[frame])
    return np.concatenate(pictures, 1)
