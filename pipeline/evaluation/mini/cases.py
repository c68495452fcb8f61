"""Held-out talks as the product meets them: what drives them, and the frames that a model makes of each.

Frames come from `AudioPoseSVDPipeline.render` at the size of the drawing, which is the denoiser's own, so
that nothing is enlarged. Only where lips are withheld, or the interaction is left out, which no user can ask
for, they come from `training.mini.generate` behind the same gate.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.analysis import talking_face
from pipeline.evaluation.metrics import mouth
from pipeline.models.audio2pose import SAMPLE_RATE
from pipeline.models.temporal import skip_idle_temporal
from pipeline.motion import fda, prosody
from pipeline.motion.face_animation import PARAMETERS
from pipeline.motion.gestures import beats
from pipeline.motion.gestures import head as gesture
from pipeline.render import draft
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.training import mini_model
from pipeline.training.data import presenters
from pipeline.training.data.batches import plain
from pipeline.training.data.held_out import HeldTalk
from pipeline.training.losses import boxes
from pipeline.values import Audio, Keypoints, Motion, Pose

FPS = 25.0
WINDOW = 16  # frames that `denoised` does at a time, as the pipeline
LOUD = {"gap": 1.0, "jaw": 0.6, "lowerdown": 0.4}  # what the loudness opens in the RMS baseline


@dataclass(frozen=True)
class Case:
    """One held-out talk, and the same with lips and jaw withheld; what is known of it besides.

    image (H,W,3) uint8; truth (F,3,H,W) in [0,1]; motion: the true one; sound, prosody and head motion.
    """

    talk: HeldTalk
    hidden: HeldTalk
    image: np.ndarray
    truth: Tensor
    motion: Motion
    audio: Audio
    spoken: prosody.Prosody
    head: gesture.HeadMotion

    @property
    def size(self) -> tuple[int, int]:
        return self.talk.clips.size

    @functools.cached_property
    def still(self) -> Tensor:
        """(F-1,H,W) bool: where the truth stands still."""
        return mouth.still_pixels(self.truth)

    @functools.cached_property
    def sharpness(self) -> float:
        """Of the truth's face."""
        clips = self.talk.clips
        return mouth.sharpness(
            self.truth, boxes(self.talk.face, clips.hands[0], clips.size)["face"]
        )

    def __len__(self) -> int:
        return len(self.truth)


def case(talk: HeldTalk, hidden: HeldTalk) -> Case:
    """The talk with its exact points as the driving pose and the exact mask of the reference."""
    clips, size = talk.clips, talk.clips.size
    parts = [p[0].double().numpy() for p in (clips.body, clips.hands, clips.face)]
    pose = Pose(*(Keypoints(p[..., :2], p[..., 2]) for p in parts), FPS, size)
    audio = Audio(talk.samples.astype(np.float32) / 32767, SAMPLE_RATE)
    spoken, count = prosody.analyse(audio, FPS), len(pose)
    curves = (gesture.fitted(c, count) for c in (spoken.intensity, spoken.excitation))
    tokens = clips.audio[0].float().numpy()
    reference = presenters.pose(talk.person, 0, FPS)
    mask = talk.person.mask[0, 0, 0].numpy()
    motion = Motion(pose, reference, mask, None, *curves, np.ones(count), tokens)
    head = gesture.head_motion(spoken, count, FPS, np.random.default_rng(0))
    image = clips.reference[0].permute(1, 2, 0).contiguous().numpy()
    return Case(talk, hidden, image, clips.truth[0].float() / 255, motion, audio, spoken, head)


# ---- what drives the mouth and the body


def said(
    given: Case, pipe: AudioPoseSVDPipeline, audio: Audio | None = None
) -> talking_face.TalkingFace:
    """The face that Audio2Pose speaks, of this talk's sound or of `audio`, in the reference's place."""
    reference = given.motion.reference
    return talking_face.predict_face(
        pipe.audio2pose, audio or given.audio, reference, given.head, 1.0, given.image
    )


def on_body(given: Case, face: talking_face.TalkingFace) -> Motion:
    """The talk's true body and head with a spoken face spliced in, as the pipeline does it."""
    pose = fda.splice(given.motion.pose, face.points, "face", "rigid")
    return replace(given.motion, pose=pose, audio_tokens=face.tokens)


def frozen(given: Case) -> Motion:
    """The true motion with the reference's mouth."""
    still = given.talk.still.double().numpy()
    face = Keypoints(still[..., :2], given.motion.pose.face.score)
    return replace(given.motion, pose=replace(given.motion.pose, face=face))


def loud(given: Case, pipe: AudioPoseSVDPipeline) -> Motion:
    """The true body with a mouth as open as the sound is loud."""
    heard = pipe.audio2pose.predict(given.audio, FPS, len(given))
    level = given.talk.clips.loudness[0].double().numpy()
    params = np.zeros_like(heard.params)
    for name, share in LOUD.items():
        params[:, PARAMETERS.index(name)] = share * level
    moved = replace(heard, params=params)
    return on_body(
        given, talking_face.put_on_face(moved, given.motion.reference, given.head, 1.0, given.image)
    )


def shuffled(given: Case) -> Audio:
    """The talk's sound with its halves exchanged."""
    samples = given.audio.samples
    return Audio(np.roll(samples, len(samples) // 2), given.audio.rate)


def by_prior(given: Case, face: talking_face.TalkingFace) -> Motion:
    """The motion that the pipeline makes without a driving video."""
    rng = np.random.default_rng((0, 1))
    pose = beats.pose_free(given.motion.reference, face.points, given.head, given.spoken, rng)
    return replace(given.motion, pose=pose, audio_tokens=face.tokens)


# ---- frames


def rendered(
    pipe: AudioPoseSVDPipeline,
    given: Case,
    motion: Motion,
    steps: int = 1,
    conditioning: Mapping[str, float] | None = None,
) -> Tensor:
    """(F,3,H,W) in [0,1]: the pipeline's frames at the drawing's size."""
    height, width = given.size
    work = pipe.render(
        given.image, motion, num_inference_steps=steps, height=height, width=width,
        conditioning=conditioning, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    return _floats(np.concatenate([step.frames for step in work if step.frames is not None]))


def warped(given: Case, motion: Motion) -> Tensor:
    """(F,3,H,W) in [0,1]: the same motion by the warp alone."""
    return _floats(np.concatenate(list(draft.draft(given.image, motion, given.size))))


def denoised(
    mini: mini_model.Mini, talk: HeldTalk, audio: Tensor | None = None, every: int = 1
) -> Tensor:
    """(ceil(F/every),3,H,W) in [0,1]: each `every`-th frame of the talk's own clip.

    The speech tokens are the talk's, or `audio` (F,5,160).
    """
    done = []
    for start in range(0, talk.clips.truth.shape[1], WINDOW * every):
        part = slice(start, start + WINDOW * every, every)
        batch = mini_model.moved(plain(_cut(talk, part)), mini.unet.device)
        if audio is not None:
            batch = replace(batch, audio=audio[part].float().to(mini.unet.device))
        made = mini_model.generate(mini, batch, 1, 0).clamp(0, 1)
        done.append(mini_model.applied(mini, batch, made).cpu())
    return torch.cat(done)


def _cut(talk: HeldTalk, part: slice):
    names = ("truth", "warped", "validity", "body", "hands", "face", "audio", "loudness")
    return replace(talk.clips, **{name: getattr(talk.clips, name)[:, part] for name in names})


def networks(folder: Path, device: torch.device) -> mini_model.Mini:
    """The model folder's networks as training has them, in float32 on a device."""
    mini = mini_model.load(folder)
    for part in (*mini.networks.values(), mini.vae):
        part.to(device)
    skip_idle_temporal(mini.unet)
    return mini


def points_of(pose: Pose) -> Tensor:
    """(F,68,3) face points."""
    face = np.concatenate([pose.face.xy, pose.face.score[..., None]], -1)
    return torch.from_numpy(face).float()


def _floats(frames: np.ndarray) -> Tensor:
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
