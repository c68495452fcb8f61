"""What every backbone shares: inputs -> `Analysis` -> refocused `Motion` -> frames, as one generator.

Closing the generator stops the work. A new backbone subclasses `AudioPosePipeline`, implements `render` and
adds one row in `weights.py`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput
from PIL import Image

from pipeline import media
from pipeline.analysis import detectors, talking_face
from pipeline.analysis.analyse import (
    MAX_FPS,
    Analysis,
    Driving,
    Picture,
    Speech,
    _sound_warnings,
    shifted,
)
from pipeline.analysis.detectors import cache
from pipeline.analysis.framing import crop_to_aspect, same_aspect
from pipeline.analysis.progress import _relay, finish
from pipeline.analysis.talking_face import SpokenFace
from pipeline.media import pose_files
from pipeline.motion import accents as edits
from pipeline.motion import fda, prosody, retarget, timing
from pipeline.motion.gestures import beats
from pipeline.motion.gestures import head as gesture
from pipeline.motion.refocus import refocus
from pipeline.values import Audio, Detection, InputError, Keypoints, Motion, Pose, Progress, Video

log = logging.getLogger(__name__)


class AudioPoseOutput(BaseOutput):
    """`frames`: one list per video of PIL pictures, or an array (T,H,W,3) for output_type="np"."""

    frames: list[list[Image.Image]] | np.ndarray


class AudioPosePipeline(DiffusionPipeline):
    """Reference image + speech + optional driving video -> frames. Lifecycle methods stand in call order.

    Components are registered flat; subclasses register `audio2pose` among theirs.
    """

    splice_region = (
        "face"  # "lips" for published weights, which were not tuned on audio-driven faces
    )
    refocus_mode = "both"  # how the slider acts by default: key points and control strength

    # ---- 1 inputs
    def detect_pose(self, image: Picture, detector: str = "holistic") -> Detection:
        """All people in the reference image, largest first, with masks; ValueError without a face."""
        picture = media.to_picture(image)
        found = cache.image(detectors.load(detector), picture)
        if not found.people[0].face.visible.any():
            raise InputError(
                "no face was found on the person in the reference image; "
                "use a picture in which the face is seen from the front and at least 20 pixels high"
            )
        return found

    def track_pose(
        self, driving: Driving, fps: float, frames: int, detector: str = "holistic"
    ) -> Generator[Progress, None, Detection]:
        """People of the driving video at `fps`, at most `frames` of it, cached by content."""
        if isinstance(driving, Pose):
            return Detection((timing.resample(driving, fps),))
        if isinstance(driving, (str, Path)) and pose_files.is_pose(driving):
            found = pose_files.read(driving)
            return replace(
                found, people=tuple(timing.resample(person, fps) for person in found.people)
            )
        key, video = None, driving
        if not isinstance(driving, Video):
            # no longer than the clip: a longer speech on the same clip finds its people again
            frames = min(frames, max(1, math.ceil(media.probe(driving).seconds * fps)))
            key = f"{media.content_hash(driving)}-{fps!r}-{frames}"
            video = media.read_video(driving, fps=fps, seconds=frames / fps)
        tracking = cache.video(detectors.load(detector), video, key)
        found = yield from _relay(tracking, "detect driving video", frames)
        # a `Video` of frames has its own rate; a file was read at `fps` already
        return replace(found, people=tuple(timing.resample(person, fps) for person in found.people))

    def predict_face(
        self,
        audio: Audio,
        reference: Pose,
        frames: int,
        head: gesture.HeadMotion,
        amplitude: float = 1.0,
        picture: np.ndarray | None = None,
    ) -> SpokenFace:
        """The face spoken by the reference's own face, which `picture` (H,W,3) shows, in its own place."""
        spoken = self.audio2pose.predict(audio, reference.fps, frames)
        return talking_face.on_face(spoken, reference, head, amplitude, picture)

    def framed(
        self, picture: np.ndarray, size: tuple[int, int], detector: str = "holistic"
    ) -> np.ndarray:
        """The part of `picture` (H,W,3) that has the aspect of `size` (H,W) and the person in it."""
        if same_aspect(picture.shape[:2], size):
            return picture
        person = self.detect_pose(picture, detector).people[0]
        face, body = (part.xy[part.visible] for part in (person.face, person.body))
        return crop_to_aspect(picture, size, face, np.concatenate([face, body]))

    # ---- 2 analyse
    @torch.no_grad()
    def analyse(
        self,
        image: Picture,
        audio: Speech,
        driving: Driving | None = None,
        *,
        fps: float = 25.0,
        detector: str = "holistic",
        box: str = "rigid",
        splice: str | None = None,
        length: str = "pingpong",
        alignment: retarget.Alignment = retarget.ALIGNMENT,
        amplitude: float = 1.0,
        seed: int = 0,
        accents: np.ndarray | None = None,
        audio_offset: float = 0.0,
        gestures: str | None = None,
    ) -> Generator[Progress, None, Analysis]:
        """Detects, aligns and splices; the generator's return value is the `Analysis` before refocusing.

        accents: (N,2) seconds and strengths instead of the detected ones. audio_offset: ms by which the mouth
        comes later than the sound. gestures: without a driving video, one of `strokes.MODES`, or None for
        what suits the reference.
        """
        if not 1 <= fps <= MAX_FPS:
            raise InputError(f"fps is {fps:g}; give a value from 1 to {MAX_FPS:g}")
        yield Progress("read inputs", 0, 1)
        speech = audio if isinstance(audio, Audio) else media.read_audio(audio)
        picture = media.to_picture(image)
        found = self.detect_pose(picture, detector)
        yield Progress("detect reference image", 1, 1)
        reference = replace(found.people[0], fps=fps)
        frames = speech.frames(fps)
        spoken = prosody.analyse(speech, fps)
        spoken = spoken if accents is None else edits.edit(spoken, accents)
        head = gesture.head_motion(spoken, frames, fps, np.random.default_rng(seed))
        heard = shifted(speech, audio_offset)
        said = self.predict_face(heard, reference, frames, head, amplitude, picture)
        face = said.points
        yield Progress("audio2pose", frames, frames)
        warnings = list(found.notes) + _sound_warnings(speech)
        report, people = None, ()
        if driving is None:
            rng = np.random.default_rng(
                (seed, 1)
            )  # not the head's own stream: the gestures are another draw
            pose = beats.pose_free(reference, face, head, spoken, rng, gestures)
        else:
            tracked = yield from self.track_pose(driving, fps, frames, detector)
            pose, report = self._drive(
                tracked, reference, face, frames, length, splice, box, alignment
            )
            noted = report is None or (
                isinstance(driving, (str, Path)) and pose_files.is_pose(driving)
            )
            warnings += (
                tracked.notes if noted else ()
            )  # of a detector a report says the same with figures
            warnings += report.warnings if report else ()
            people = tracked.people
        mask = found.masks[0] if found.masks else None
        plain = np.ones(frames)
        mesh = said.mesh_at(pose.face)
        motion = Motion(
            pose, reference, mask, mesh, spoken.intensity, spoken.excitation, plain, said.tokens
        )
        return Analysis(motion, spoken, report, tuple(dict.fromkeys(warnings)), people)

    def _drive(
        self,
        tracked: Detection,
        reference: Pose,
        face: Keypoints,
        frames: int,
        length: str,
        splice: str | None,
        box: str,
        alignment: retarget.Alignment,
    ) -> tuple[Pose, retarget.Report | None]:
        """The driving body on the reference's, as long as the speech, with the spoken face spliced in."""
        if not tracked.people:
            return Pose.empty(frames, reference.fps, reference.size), None
        people = [timing.fill_gaps(person) for person in tracked.people]
        aligned, report = retarget.retarget(people, reference, *alignment)
        fitted = timing.fit_length(aligned, frames, length)
        return fda.splice(fitted, face, splice or self.splice_region, box), report

    def prepare_motion(
        self, image: Picture, audio: Speech, driving: Driving | None = None, **options: Any
    ) -> Motion:
        """The motion before refocusing; options as for `analyse`."""
        return finish(self.analyse(image, audio, driving, **options)).motion

    # ---- 3 render
    def render(self, image: np.ndarray, motion: Motion, **options: Any) -> Iterator[Progress]:
        """Yields progress and finished frames of `image` (H,W,3) uint8 moved by `motion`."""
        raise NotImplementedError(f"{type(self).__name__} does not implement render")

    def frame_size(
        self, picture: tuple[int, int], height: int | None, width: int | None
    ) -> tuple[int, int]:
        """(H, W) of the output for a reference picture of (H, W)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement frame_size")

    def expectation(self, motion: Motion, size: tuple[int, int]) -> str | None:
        """A sentence on what these weights can show of a motion at output (H, W), if there is one to say."""
        return None

    def conditioned(self, values: Mapping[str, float]) -> Any:
        """The condition with other values; ValueError where the weights do not know what they ask for."""
        raise NotImplementedError(f"{type(self).__name__} does not implement conditioned")

    def stream(
        self,
        image: Picture,
        audio: Speech | None = None,
        driving: Driving | None = None,
        *,
        motion: Motion | None = None,
        intensity: float = 1.0,
        mode: str | None = None,
        analysis: dict[str, Any] | None = None,
        **options: Any,
    ) -> Iterator[Progress]:
        """Analyses (unless `motion` is given), refocuses with `intensity`, renders; yields all the way.

        With audio the picture is cropped to the aspect of the output. A given `motion` is one that
        `prepare_motion` made, before refocusing; it belongs to the whole picture, which is then stretched.
        """
        if (motion is None) == (audio is None):
            raise InputError(
                "give either audio or a motion from prepare_motion, not both and not neither"
            )
        picture = media.to_picture(image)
        if motion is None:
            size = self.frame_size(picture.shape[:2], options.get("height"), options.get("width"))
            analysis = analysis or {}
            picture = self.framed(picture, size, analysis.get("detector", "holistic"))
            motion = (yield from self.analyse(picture, audio, driving, **analysis)).motion
        yield from self.render(
            picture, refocus(motion, intensity, mode=mode or self.refocus_mode), **options
        )

    # ---- 4 the way diffusers calls
    @torch.no_grad()
    def __call__(
        self,
        image: Picture,
        audio: Speech | None = None,
        driving: Driving | None = None,
        *,
        motion: Motion | None = None,
        intensity: float = 1.0,
        num_inference_steps: int | None = None,
        height: int | None = None,
        width: int | None = None,
        window: int | None = None,
        overlap: int | None = None,
        schedule: str = "joint",
        conditioning: Mapping[str, float] | None = None,
        generator: torch.Generator | None = None,
        output_type: str = "pil",
        callback_on_step_end: Callable | None = None,
        callback_on_step_end_tensor_inputs: tuple[str, ...] = ("latents",),
        return_dict: bool = True,
        **analysis: Any,
    ) -> AudioPoseOutput | tuple:
        """The whole video in memory, as diffusers pipelines return it; `analysis`: see `analyse`.

        conditioning: guidance and SVD's micro-conditions by their names in the condition's configuration,
        such as {"audio_guidance": 1.5} or {"min_guidance": 1, "max_guidance": 1}.
        """
        if output_type not in ("pil", "np"):
            raise InputError(f'output_type is {output_type!r}; give "pil" or "np"')
        steps = self.stream(
            image,
            audio,
            driving,
            motion=motion,
            intensity=intensity,
            analysis=analysis,
            num_inference_steps=num_inference_steps,
            height=height,
            width=width,
            window=window,
            overlap=overlap,
            schedule=schedule,
            conditioning=conditioning,
            generator=generator,
            callback_on_step_end=callback_on_step_end,
            callback_on_step_end_tensor_inputs=callback_on_step_end_tensor_inputs,
        )
        frames = np.concatenate([step.frames for step in steps if step.frames is not None])
        video = frames if output_type == "np" else [[Image.fromarray(frame) for frame in frames]]
        return AudioPoseOutput(frames=video) if return_dict else (video,)
