"""Held-out talks as the product meets them: what drives them, and the frames made of each.

Frames come from `AudioPoseSVDPipeline.render` at the size of the drawing, which is the denoiser's
own, so that nothing is enlarged. No user can ask for withheld lips or leave the interaction out:
such frames come from `training.mini_model.generate` behind the same gate.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.analysis import talking_face
from pipeline.evaluation.metrics import pixels
from pipeline.models.audio2pose import SAMPLE_RATE
from pipeline.models.temporal import skip_idle_temporal
from pipeline.motion import fda, prosody
from pipeline.motion.curves import fit_frames
from pipeline.motion.face_animation import PARAMETERS
from pipeline.motion.gestures import beats
from pipeline.motion.gestures.head import HeadMotion, draw_head_motion
from pipeline.render import draft
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.training import mini_model
from pipeline.training.data import presenters
from pipeline.training.data.batches import plain
from pipeline.training.data.clips import Clips
from pipeline.training.data.held_out import HeldTalk
from pipeline.training.losses import boxes
from pipeline.values import Audio, Keypoints, Motion, Pose, Progress

FPS = 25.0
WINDOW_FRAMES = 16  # that `denoise_frames` takes at a time, as the pipeline does
LOUDNESS_OPENS = {"gap": 1.0, "jaw": 0.6, "lowerdown": 0.4}  # in the baseline driven by RMS


@dataclass(frozen=True)
class Case:
    """One held-out talk, and what is known of it besides.

    Args:
        talk: The talk with its lips.
        hidden: The same talk with lips and jaw withheld.
        image: (H, W, 3) uint8 reference image.
        truth: (F, 3, H, W) true frames in [0, 1].
        motion: The true motion.
        audio: The talk's sound.
        prosody: Its prosody.
        head_motion: The head motion generated for it.
    """

    talk: HeldTalk
    hidden: HeldTalk
    image: np.ndarray
    truth: Tensor
    motion: Motion
    audio: Audio
    prosody: prosody.Prosody
    head_motion: HeadMotion

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.talk.clips.size

    @functools.cached_property
    def still(self) -> Tensor:
        """Where (F-1, H, W) the truth stands still."""
        return pixels.still_pixels(self.truth)

    @functools.cached_property
    def boxes(self) -> dict[str, Tensor]:
        """Boxes (F, 1, H, W) of the face, the mouth and the hands."""
        return boxes(self.talk.face, self.talk.clips.hands[0], self.size)

    @functools.cached_property
    def sharpness(self) -> float:
        """Sharpness of the true face."""
        return pixels.sharpness(self.truth, self.boxes["face"])

    def __len__(self) -> int:
        return len(self.truth)


def make_case(talk: HeldTalk, hidden: HeldTalk) -> Case:
    """Make a case whose driving pose has exact points and whose reference has its exact mask."""
    clips = talk.clips
    body = _keypoints(clips.body[0])
    hands = _keypoints(clips.hands[0])
    face = _keypoints(clips.face[0])
    pose = Pose(body, hands, face, FPS, clips.size)
    frames = len(pose)
    audio = Audio(talk.samples.astype(np.float32) / 32767, SAMPLE_RATE)
    speech = prosody.analyse(audio, FPS)
    motion = Motion(
        pose,
        presenters.pose(talk.person, 0, FPS),
        talk.person.mask[0, 0, 0].numpy(),
        None,
        fit_frames(speech.intensity, frames),
        fit_frames(speech.excitation, frames),
        np.ones(frames),
        clips.audio[0].float().numpy(),
    )
    head_motion = draw_head_motion(speech, frames, FPS, np.random.default_rng(0))
    image = clips.reference[0].permute(1, 2, 0).contiguous().numpy()
    truth = clips.truth[0].float() / 255
    return Case(talk, hidden, image, truth, motion, audio, speech, head_motion)


def _keypoints(points: Tensor) -> Keypoints:
    """Turn points (F, K, 3) of x, y and score into key points."""
    array = points.double().numpy()
    return Keypoints(array[..., :2], array[..., 2])


# ---- what drives the mouth and the body


def predict_face(
    case: Case, pipe: AudioPoseSVDPipeline, audio: Audio | None = None
) -> talking_face.TalkingFace:
    """Let Audio2Pose speak this talk's sound, or `audio`, with a face in the reference's place."""
    reference = case.motion.reference
    sound = audio or case.audio
    return talking_face.predict_face(
        pipe.audio2pose, sound, reference, case.head_motion, 1.0, case.image
    )


def splice_face(case: Case, face: talking_face.TalkingFace) -> Motion:
    """Splice a predicted face into the talk's true body and head, as the pipeline does."""
    pose = fda.splice(case.motion.pose, face.points, "face", "rigid")
    return replace(case.motion, pose=pose, audio_tokens=face.tokens)


def freeze_mouth(case: Case) -> Motion:
    """Give the true motion the reference's mouth."""
    still = case.talk.still.double().numpy()
    face = Keypoints(still[..., :2], case.motion.pose.face.score)
    return replace(case.motion, pose=replace(case.motion.pose, face=face))


def open_by_loudness(case: Case, pipe: AudioPoseSVDPipeline) -> Motion:
    """Give the true body a mouth that opens as far as the sound is loud."""
    prediction = pipe.audio2pose.predict(case.audio, FPS, len(case))
    loudness = case.talk.clips.loudness[0].double().numpy()
    params = np.zeros_like(prediction.params)
    for name, share in LOUDNESS_OPENS.items():
        params[:, PARAMETERS.index(name)] = share * loudness
    loud = replace(prediction, params=params)
    reference = case.motion.reference
    face = talking_face.put_on_face(loud, reference, case.head_motion, 1.0, case.image)
    return splice_face(case, face)


def exchange_halves(case: Case) -> Audio:
    """Exchange the halves of the talk's sound."""
    samples = case.audio.samples
    return Audio(np.roll(samples, len(samples) // 2), case.audio.rate)


def gesture_by_prior(case: Case, face: talking_face.TalkingFace) -> Motion:
    """Generate the motion that the pipeline makes without a driving video."""
    rng = np.random.default_rng((0, 1))
    reference = case.motion.reference
    pose = beats.pose_free(reference, face.points, case.head_motion, case.prosody, rng)
    return replace(case.motion, pose=pose, audio_tokens=face.tokens)


# ---- frames


def render_frames(
    pipe: AudioPoseSVDPipeline,
    case: Case,
    motion: Motion,
    steps: int = 1,
    conditioning: Mapping[str, float] | None = None,
) -> Tensor:
    """Render (F, 3, H, W) in [0, 1] by the pipeline at the drawing's size."""
    height, width = case.size
    work = pipe.render(
        case.image,
        motion,
        num_inference_steps=steps,
        height=height,
        width=width,
        conditioning=conditioning,
        generator=torch.Generator().manual_seed(0),
    )
    return _floats(collect_frames(work))


def collect_frames(work: Iterable[Progress]) -> np.ndarray:
    """Run a rendering to its end and return its frames (T, H, W, 3) uint8."""
    return np.concatenate([step.frames for step in work if step.frames is not None])


def warp_frames(case: Case, motion: Motion) -> Tensor:
    """Warp the reference image alone: (F, 3, H, W) in [0, 1]."""
    chunks = draft.draft(case.image, motion, case.size)
    return _floats(np.concatenate(list(chunks)))


def denoise_frames(
    mini: mini_model.Mini, talk: HeldTalk, audio: Tensor | None = None, step: int = 1
) -> Tensor:
    """Denoise each `step`-th frame of a talk's clip: (ceil(F / step), 3, H, W) in [0, 1].

    The speech tokens are the talk's, or `audio` (F, 5, 160).
    """
    done = []
    for start in range(0, talk.clips.truth.shape[1], WINDOW_FRAMES * step):
        rows = slice(start, start + WINDOW_FRAMES * step, step)
        batch = plain(_cut(talk.clips, rows))
        batch = mini_model.to_device(batch, mini.unet.device)
        if audio is not None:
            tokens = audio[rows].float().to(mini.unet.device)
            batch = replace(batch, audio=tokens)
        latents = mini_model.generate(mini, batch, 1, 0).clamp(0, 1)
        done.append(mini_model.apply_repair(mini, batch, latents).cpu())
    return torch.cat(done)


def _cut(clips: Clips, rows: slice) -> Clips:
    """Take some frames of all that changes over time."""
    names = ("truth", "warped", "validity", "body", "hands", "face", "audio", "loudness")
    return replace(clips, **{name: getattr(clips, name)[:, rows] for name in names})


def networks(folder: Path, device: torch.device) -> mini_model.Mini:
    """Load the model folder's networks as training has them, in float32 on a device."""
    mini = mini_model.load(folder)
    for part in (*mini.networks.values(), mini.vae):
        part.to(device)
    skip_idle_temporal(mini.unet)
    return mini


def face_points(pose: Pose) -> Tensor:
    """Return the face's points (F, 68, 3) of x, y and score."""
    face = np.concatenate([pose.face.xy, pose.face.score[..., None]], -1)
    return torch.from_numpy(face).float()


def _floats(frames: np.ndarray) -> Tensor:
    """Turn frames (F, H, W, 3) uint8 into (F, 3, H, W) in [0, 1]."""
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
