"""Measure one model on held-out talks: pictures, mouths, sound and pose-free motion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.analysis.talking_face import TalkingFace
from pipeline.evaluation.metrics import gestures, pixels
from pipeline.evaluation.metrics.correlation import (
    Correlation,
    Pair,
    correlation,
    pooled_correlation,
)
from pipeline.evaluation.metrics.strokes import gesture_to
from pipeline.evaluation.mini import cases, lip_table
from pipeline.evaluation.mini.cases import Case
from pipeline.evaluation.mini.figures import SOUND_FRAME_STEP, Figures
from pipeline.models import mouth_reader, sync_mini
from pipeline.models.audio2pose import SAMPLE_RATE
from pipeline.motion import prosody
from pipeline.motion.gestures.arm_ik import find_arms
from pipeline.motion.keypoints import SHOULDERS
from pipeline.motion.refocus import MAX_STRENGTH, refocus
from pipeline.render import load
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.training.data import talks
from pipeline.training.losses import psnr
from pipeline.values import Audio, InputError, Pose

SEVERAL_STEPS = 4
# From points 27 to 8: the mouth of a smaller face opens by a pixel that no reader can read.
LEAST_FACE_PX = 15.0
LEAST_SOUND_SECONDS = 3.0  # shorter speech has no shift a second away from itself
GRAIN_PX = 4  # movement is that of means over 4 x 4 pixels, so that grain does not count


class Measure:
    """A model and the networks that turn a talk into figures."""

    def __init__(self, folder: Path, previous: Path | None, device: str) -> None:
        self.pipe = open_model(folder, device)
        self.previous = None if previous is None else open_model(previous, device)
        self.mini = cases.networks(folder, self.pipe.condition.device)
        self.reader = mouth_reader.shipped()
        self.sync = sync_mini.shipped()
        self.network_why = ""  # why these weights have no pose-free network
        try:
            self.pipe.check_conditioning({"pose_guidance": 0.0})
        except ValueError as error:
            self.network_why = str(error)

    def figures(self, case: Case, other: Case) -> tuple[Figures, np.ndarray]:
        """Measure one talk and draw its rows of the contact sheet; `other` lends its speech."""
        figures = Figures(case.talk.phones)
        if face_height(case) >= LEAST_FACE_PX:
            figures.openings["true"] = case.talk.aperture
            self._read(figures, "truth", case.truth, case.talk.face)
        figures.flicker["truth"] = pixels.flicker(case.truth, case.still)
        pictures = self._measure_true_motion(case, figures)
        face = cases.predict_face(case, self.pipe)
        self._measure_speech(case, face, figures)
        if figures.openings and self.mini.interaction is not None:
            self._measure_withheld_lips(case, other, figures)
        self._measure_pose_free(case, face, figures)
        self._measure_gate(case, figures)
        figures.sync.update(lip_table.judge(figures, self.sync, case.audio))
        return figures, contact_strip(case, pictures)

    def picture_figures(self, case: Case) -> Figures:
        """Measure the picture rows of one talk, with four steps beside one."""
        figures = Figures(case.talk.phones)
        pictures = self._pictures(case)
        pictures["four"] = cases.render_frames(self.pipe, case, case.motion, SEVERAL_STEPS)
        for name, frames in pictures.items():
            compare(figures, name, frames, case)
        return figures

    def _read(self, figures: Figures, name: str, frames: Tensor, face: Tensor) -> None:
        """Read mouths at the points that drove the frames.

        A predicted face has the reference's proportions, so the true points would miss its mouth.
        """
        if figures.openings:
            figures.openings[name] = self.reader.read(frames, face).numpy()

    def _measure_true_motion(self, case: Case, figures: Figures) -> dict[str, Tensor]:
        """Compare frames that true key points drive with the truth, and return them."""
        pictures = self._pictures(case)
        pictures["frozen"] = cases.warp_frames(case, cases.freeze_mouth(case))
        for name, frames in pictures.items():
            compare(figures, name, frames, case)
            if name != "copy":
                self._read(figures, name, frames, case.talk.face)
        return pictures

    def _pictures(self, case: Case) -> dict[str, Tensor]:
        """Make the frames that every comparison of pictures needs."""
        image = torch.from_numpy(case.image).permute(2, 0, 1)[None].float() / 255
        pictures = {
            "copy": image.expand_as(case.truth),
            "warp": cases.warp_frames(case, case.motion),
            "result": cases.render_frames(self.pipe, case, case.motion),
        }
        if self.previous is not None:
            pictures["previous"] = cases.render_frames(self.previous, case, case.motion)
        return pictures

    def _measure_speech(self, case: Case, face: TalkingFace, figures: Figures) -> None:
        """Read mouths of Audio2Pose's lips, and of the baselines that the warp draws."""
        motion = cases.splice_face(case, face)
        if figures.openings:
            points = cases.face_points(motion.pose)
            rendered = cases.render_frames(self.pipe, case, motion)
            self._read(figures, "spoken", rendered, points)
            self._read(figures, "spoken warp", cases.warp_frames(case, motion), points)
        exchanged = cases.predict_face(case, self.pipe, cases.exchange_halves(case))
        baselines = {
            "loud": cases.open_by_loudness(case, self.pipe),
            "shuffled": cases.splice_face(case, exchanged),
        }
        for name, driven in baselines.items():
            frames = cases.warp_frames(case, driven)
            compare(figures, name, frames, case)
            self._read(figures, name, frames, cases.face_points(driven.pose))

    def _measure_withheld_lips(self, case: Case, other: Case, figures: Figures) -> None:
        """Read mouths that only the sound can move: right speech, another's, no interaction."""
        face = case.talk.face[::SOUND_FRAME_STEP]
        without = replace(self.mini, interaction=None)
        other_tokens = np.resize(other.motion.audio_tokens, case.motion.audio_tokens.shape)
        other_speech = torch.from_numpy(other_tokens)
        for name, mini, talk, speech in (
            ("withheld right", self.mini, case.hidden, None),
            ("withheld other", self.mini, case.hidden, other_speech),
            ("withheld off", without, case.hidden, None),
            ("lips on", self.mini, case.talk, None),
            ("lips off", without, case.talk, None),
        ):
            frames = cases.denoise_frames(mini, talk, speech, SOUND_FRAME_STEP)
            self._read(figures, name, frames, face)

    def _measure_pose_free(self, case: Case, face: TalkingFace, figures: Figures) -> None:
        """Measure movement and mouths without a driving video, by the prior and by the network."""
        motion = cases.gesture_by_prior(case, face)
        prior_frames = cases.render_frames(self.pipe, case, motion, conditioning={})
        self._measure_movement(case, "prior", prior_frames, motion.pose, figures)
        if not self.network_why:
            values = {"pose_guidance": 0.0}
            frames = cases.render_frames(self.pipe, case, motion, conditioning=values)
            still = case.motion.reference[np.zeros(len(case), int)]
            self._measure_movement(case, "network", frames, still, figures)
        truth = frame_energy(case.truth)
        figures.energy["pixels truth"] = float(truth.mean())
        if find_arms(case.motion.reference) and shows_shoulders(case):
            for name, pose in (("prior", motion.pose), ("truth", case.motion.pose)):
                squares = np.square(gestures.speed(pose))
                figures.energy[f"points {name}"] = float(squares.mean())

    def _measure_gate(self, case: Case, figures: Figures) -> None:
        """Measure how far the gate at the slider's end changes pixels, in gray levels."""
        gated = refocus(case.motion, MAX_STRENGTH, mode="gate")
        plain_frames = cases.render_frames(self.pipe, case, case.motion)
        gated_frames = cases.render_frames(self.pipe, case, gated)
        change = (gated_frames - plain_frames).abs().mean()
        figures.energy["gate"] = 255 * float(change)

    def _measure_movement(
        self, case: Case, name: str, frames: Tensor, pose: Pose, figures: Figures
    ) -> None:
        """Measure how pose-free frames move, and read their mouths at the face of `pose`."""
        self._read(figures, name, frames, cases.face_points(pose))
        energy = frame_energy(frames)
        figures.energy[f"pixels {name}"] = float(energy.mean())
        intensity = case.motion.intensity[1:]
        figures.intensity_r[name] = correlation(np.sqrt(energy), intensity)


def open_model(folder: Path, device: str) -> AudioPoseSVDPipeline:
    """Load the pipeline of a model folder. Raises InputError for a folder without a model."""
    if not (folder / "model_index.json").is_file():
        raise InputError(f"{folder} holds no model; name a folder such as checkpoints/mini")
    return load.load(str(folder), device=device)


def face_height(case: Case) -> float:
    """Return the pixels from points 27 to 8 of the true face, the mean over the frames."""
    face = case.talk.face[..., :2] * torch.tensor(case.size[::-1])
    return float((face[:, 8] - face[:, 27]).norm(dim=1).mean())


def shows_shoulders(case: Case) -> bool:
    """Return whether some frame shows both shoulders, of the truth and of the reference."""
    both = (case.motion.pose, case.motion.reference)
    return all(pose.body.visible[:, SHOULDERS].all(1).any() for pose in both)


def frame_energy(frames: Tensor) -> np.ndarray:
    """Return the movement (F-1,) from frame to frame without that of the grain."""
    return pixels.motion_energy(F.avg_pool2d(frames, GRAIN_PX))


def compare(figures: Figures, name: str, frames: Tensor, case: Case) -> None:
    """Add PSNR by place, sharpness and flicker of frames (F, 3, H, W) of the case."""
    by_place = {"whole": psnr(frames, case.truth)}
    for place, box in case.boxes.items():
        by_place[place] = psnr(frames, case.truth, box)
    figures.psnr[name] = by_place
    sharpness = pixels.sharpness(frames, case.boxes["face"])
    figures.sharpness[name] = sharpness / max(case.sharpness, 1e-9)
    figures.flicker[name] = pixels.flicker(frames, case.still)


def contact_strip(case: Case, pictures: dict[str, Tensor]) -> np.ndarray:
    """Put reference, warp, result and truth side by side, (2H, 4W, 3) uint8.

    The frames are that with the widest mouth and the last one.
    """
    widest = int(case.talk.aperture.argmax())
    rows = []
    for frame in (widest, len(case) - 1):
        parts = [pictures[name][frame] for name in ("copy", "warp", "result")]
        rows.append(torch.cat([*parts, case.truth[frame]], 2))
    sheet = torch.cat(rows, 1).permute(1, 2, 0)
    return (sheet * 255).round().to(torch.uint8).numpy()


def prior_correlation(found_cases: Sequence[Case], speeches: int) -> Correlation:
    """Pool the prior's wrist speed with the intensity: every reference with every speech."""
    people = [
        case.motion.reference
        for case in found_cases
        if find_arms(case.motion.reference) and shows_shoulders(case)
    ]
    long_talks = [t for t in talks.held_out().talks if t.seconds >= LEAST_SOUND_SECONDS]
    pairs = []
    for number, talk in enumerate(long_talks[:speeches]):
        audio = Audio(talk.samples.astype(np.float32) / 32767, SAMPLE_RATE)
        full = prosody.analyse(audio, cases.FPS, "full")
        loudness = prosody.analyse(audio, cases.FPS, "rms")
        for person in people:
            motion = gesture_to(person, full, number).motion
            pairs.append(Pair(motion, loudness.excitation, str(number), len(motion)))
    if not pairs:
        return Correlation(math.nan, math.nan)
    speeds = [gestures.speed(pair.motion.pose) for pair in pairs]
    return pooled_correlation(pairs, speeds)
