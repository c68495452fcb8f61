"""What every backbone shares: inputs -> `Analysis` -> refocused `Motion` -> frames.

All of it is one generator; closing the generator stops the work. A new backbone subclasses
`AudioPosePipeline`, implements `render` and `settings`, and adds its class to `load.PIPELINES` and
one row to `models/registry.py`.
"""

from __future__ import annotations

import warnings
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
from pipeline.analysis.analyse import Analysis, AnalysisOptions, analyse
from pipeline.analysis.driving import DrivingSource, open_driving
from pipeline.analysis.expectations import expectation
from pipeline.analysis.framing import crop_around_speaker, output_size
from pipeline.analysis.progress import finish
from pipeline.models.model_settings import ModelSettings
from pipeline.motion.refocus import refocus
from pipeline.values import Audio, InputError, Motion, Progress

Picture = str | Path | Image.Image | np.ndarray
Speech = str | Path | Audio


def resolve_window_mode(window_mode: str, schedule: str | None) -> str:
    """Return the window mode; `schedule`, its old name, wins with a FutureWarning."""
    if schedule is None:
        return window_mode
    warnings.warn(
        "`schedule` is now called `window_mode`; the old name will be removed",
        FutureWarning,
        stacklevel=3,
    )
    return schedule


class AudioPoseOutput(BaseOutput):
    """`frames`: one list per video of PIL pictures, or an array (T,H,W,3) for output_type="np"."""

    frames: list[list[Image.Image]] | np.ndarray


class AudioPosePipeline(DiffusionPipeline):
    """Reference image, speech and an optional driving video become frames.

    The methods stand in the order in which they are called.

    Components are registered flat; subclasses register `audio2pose` among theirs.
    """

    @property
    def settings(self) -> ModelSettings:
        """What the analysis and the slider need to know of this model."""
        raise NotImplementedError(f"{type(self).__name__} does not implement settings")

    # ---- 1 analyse
    def analyse(
        self, image: Picture, audio: Speech, driving: DrivingSource | None = None, **options: Any
    ) -> Generator[Progress, None, Analysis]:
        """Analyze the inputs; return the `Analysis`.

        The options are fields of `pipeline.analysis.analyse.AnalysisOptions`.
        """
        picture = media.to_picture(image)
        chosen = self.analysis_options(**options)
        return (yield from self._analyse(picture, audio, driving, chosen))

    def _analyse(
        self,
        picture: np.ndarray,
        audio: Speech,
        driving: DrivingSource | None,
        options: AnalysisOptions,
    ) -> Generator[Progress, None, Analysis]:
        speech = audio if isinstance(audio, Audio) else media.read_audio(audio)
        source = None if driving is None else open_driving(driving, options.detector)
        return (yield from analyse(self.audio2pose, picture, speech, source, options))

    def analysis_options(self, splice: str | None = None, **options: Any) -> AnalysisOptions:
        """Complete the options of an analysis.

        Without `splice` the sound moves the face points that suit the weights.
        """
        region = splice or self.settings.splice_region
        return AnalysisOptions(splice=region, **options)

    def prepare_motion(
        self, image: Picture, audio: Speech, driving: DrivingSource | None = None, **options: Any
    ) -> Motion:
        """Analyze the inputs and return the motion before refocusing; options as for `analyse`."""
        analysis = finish(self.analyse(image, audio, driving, **options))
        return analysis.motion

    # ---- 2 render
    def render(self, image: np.ndarray, motion: Motion, **options: Any) -> Iterator[Progress]:
        """Yield progress and finished frames of `image` (H,W,3) uint8 moved by `motion`."""
        raise NotImplementedError(f"{type(self).__name__} does not implement render")

    def frame_size(
        self, picture: tuple[int, int], height: int | None, width: int | None
    ) -> tuple[int, int]:
        """Return the output's (H, W) for a reference image of (H, W).

        What is not asked for follows the aspect of the image.
        """
        return output_size(picture, self.settings.area, self.settings.multiple, height, width)

    def expectation(self, motion: Motion, size: tuple[int, int]) -> str | None:
        """Tell what these weights cannot show of a motion at output (H, W), if anything."""
        return expectation(self.settings.condition, motion, size)

    def check_conditioning(self, values: Mapping[str, float | str]) -> None:
        """Refuse values of `conditioning` that the weights do not know."""
        raise NotImplementedError(f"{type(self).__name__} does not implement check_conditioning")

    def stream(
        self,
        image: Picture,
        audio: Speech | None = None,
        driving: DrivingSource | None = None,
        *,
        motion: Motion | None = None,
        intensity: float = 1.0,
        mode: str | None = None,
        analysis: AnalysisOptions | None = None,
        **options: Any,
    ) -> Iterator[Progress]:
        """Analyze, refocus and render, yielding progress and finished frames.

        Args:
            image: the reference image. With audio it is cropped to the aspect of the output; with a
                motion it is stretched, since the motion belongs to the whole image.
            audio: the speech, unless there is a motion.
            driving: what drives the body; None = generated gestures.
            motion: a motion of `prepare_motion`, before refocusing, instead of audio and driving.
            intensity: the slider, 0 to 2.
            mode: what the slider acts on; None = what suits the weights.
            analysis: options of the analysis; None = the defaults.
            options: options of `render`.
        """
        if (motion is None) == (audio is None):
            raise InputError(
                "give either audio or a motion from prepare_motion, not both and not neither"
            )
        picture = media.to_picture(image)
        if motion is None:
            size = self.frame_size(picture.shape[:2], options.get("height"), options.get("width"))
            analysis = analysis or self.analysis_options()
            crop = crop_around_speaker(picture, size, analysis.detector, analysis.speaker)
            picture = crop.picture
            analysis = replace(analysis, speaker=crop.speaker)
            motion = (yield from self._analyse(picture, audio, driving, analysis)).motion
        tuned = refocus(motion, intensity, mode=mode or self.settings.refocus_mode)
        yield from self.render(picture, tuned, **options)

    # ---- 3 the way diffusers calls
    @torch.no_grad()
    def __call__(
        self,
        image: Picture,
        audio: Speech | None = None,
        driving: DrivingSource | None = None,
        *,
        motion: Motion | None = None,
        intensity: float = 1.0,
        num_inference_steps: int | None = None,
        height: int | None = None,
        width: int | None = None,
        window: int | None = None,
        overlap: int | None = None,
        window_mode: str = "joint",
        schedule: str | None = None,
        conditioning: Mapping[str, float | str] | None = None,
        generator: torch.Generator | None = None,
        output_type: str = "pil",
        callback_on_step_end: Callable | None = None,
        callback_on_step_end_tensor_inputs: tuple[str, ...] = ("latents",),
        return_dict: bool = True,
        **analysis: Any,
    ) -> AudioPoseOutput | tuple:
        """Make the whole video in memory and return it as diffusers pipelines do.

        Args:
            image, audio, driving, motion, intensity: as for `stream`.
            conditioning: guidance and SVD's micro-conditions by their names in the condition's
                configuration, such as {"audio_guidance": 1.5} or
                {"min_guidance": 1, "max_guidance": 1}.
            schedule: deprecated, the old name of `window_mode`.
            output_type: "pil" or "np".
            analysis: fields of `AnalysisOptions`, as for `analyse`.
        """
        if output_type not in ("pil", "np"):
            raise InputError(f'output_type is {output_type!r}; give "pil" or "np"')
        steps = self.stream(
            image,
            audio,
            driving,
            motion=motion,
            intensity=intensity,
            analysis=self.analysis_options(**analysis),
            num_inference_steps=num_inference_steps,
            height=height,
            width=width,
            window=window,
            overlap=overlap,
            window_mode=resolve_window_mode(window_mode, schedule),
            conditioning=conditioning,
            generator=generator,
            callback_on_step_end=callback_on_step_end,
            callback_on_step_end_tensor_inputs=callback_on_step_end_tensor_inputs,
        )
        chunks = [step.frames for step in steps if step.frames is not None]
        frames = np.concatenate(chunks)
        video = frames if output_type == "np" else [[Image.fromarray(frame) for frame in frames]]
        return AudioPoseOutput(frames=video) if return_dict else (video,)
