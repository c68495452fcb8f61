"""The SVD-shaped backbone: a stock diffusers UNet, ControlNeXt through a hook, any latent codec.

Published weights and the embedded model run through this one class. They differ in components and
configurations.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    UNetSpatioTemporalConditionModel,
)
from torch import Tensor, nn

from pipeline.models.aniportrait import Audio2Mesh
from pipeline.models.audio2pose import Audio2Pose
from pipeline.models.controlnext import ControlNeXt
from pipeline.models.denoiser import ReferenceTokens, prepare_scheduler
from pipeline.models.haar import HaarLatent
from pipeline.models.interaction import AudioVideoInteraction
from pipeline.models.model_settings import NO_NULL_INPUTS, ModelSettings
from pipeline.models.temporal import skip_idle_temporal
from pipeline.models.windows import WindowLayout
from pipeline.render.base import AudioPosePipeline, resolve_window_mode
from pipeline.render.runtime.cost import Workload
from pipeline.render.runtime.device import Placement
from pipeline.render.svd.conditions import ClipCondition, ImageCondition, reconfigure
from pipeline.render.svd.denoising import (
    WINDOW_MODES,
    Denoiser,
    OnStep,
    denoise,
    take_held_rows,
)
from pipeline.render.svd.render_state import RenderState, first_state
from pipeline.render.svd.still_reference import StillReference
from pipeline.render.svd.warped_reference import WarpedReference
from pipeline.render.tensors import to_frames
from pipeline.values import InputError, Motion, Progress, ResumePoint

Callback = Callable[..., dict[str, Any] | None]


@dataclass(frozen=True)
class RenderTask:
    """One clip in work: its condition, its length in frames, and how it is denoised."""

    clip: ClipCondition
    frames: int
    window_mode: str
    steps: int
    generator: torch.Generator | None
    on_step: OnStep | None


class AudioPoseSVDPipeline(AudioPosePipeline):
    """Speech- and pose-driven video with an SVD-shaped UNet, after APV-Gen and ApoAvatar.

    The saved configuration holds the defaults: steps, window, overlap, area in pixels, the multiple
    of the sides, which face points the sound moves and how the slider acts.
    """

    model_cpu_offload_seq = "reference_tokens->controlnext->unet->vae"
    # These are small, and offload's hooks would not work for them: `condition` and `audio2pose` are
    # asked for their device, and the parts of `interaction` are called directly.
    _exclude_from_cpu_offload = ["condition", "audio2pose", "interaction"]
    _optional_components = ["interaction"]

    attention_backend: str | None = None
    placed: Placement | None = None

    def __init__(
        self,
        vae: HaarLatent | AutoencoderKLTemporalDecoder,
        unet: UNetSpatioTemporalConditionModel,
        controlnext: ControlNeXt,
        reference_tokens: ReferenceTokens | nn.Module,
        condition: WarpedReference | StillReference,
        scheduler: EulerDiscreteScheduler,
        audio2pose: Audio2Pose | Audio2Mesh,
        interaction: AudioVideoInteraction | None = None,
        default_steps: int = 1,
        default_window: int = 16,
        default_overlap: int = 4,
        area: int = ModelSettings.area,
        multiple: int = ModelSettings.multiple,
        splice_region: str = ModelSettings.splice_region,
        refocus_mode: str = ModelSettings.refocus_mode,
        gate_shows: bool = ModelSettings.gate_shows,
        network_gestures: bool = ModelSettings.network_gestures,
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae,
            unet=unet,
            controlnext=controlnext,
            reference_tokens=reference_tokens,
            condition=condition,
            scheduler=scheduler,
            audio2pose=audio2pose,
            interaction=interaction,
        )
        self.register_to_config(
            default_steps=default_steps,
            default_window=default_window,
            default_overlap=default_overlap,
            area=area,
            multiple=multiple,
            splice_region=splice_region,
            refocus_mode=refocus_mode,
            gate_shows=gate_shows,
            network_gestures=network_gestures,
        )
        skip_idle_temporal(self.unet)

    @property
    def settings(self) -> ModelSettings:
        """What the analysis and the slider need to know of this model."""
        return ModelSettings(
            self.config.area,
            self.config.multiple,
            self.config.splice_region,
            self.config.refocus_mode,
            self.config.gate_shows,
            self.config.network_gestures,
            condition=type(self.condition).__name__,
            null_inputs=self.interaction is not None,
        )

    @torch.no_grad()
    def render(
        self,
        image: np.ndarray,
        motion: Motion,
        *,
        num_inference_steps: int | None = None,
        height: int | None = None,
        width: int | None = None,
        window: int | None = None,
        overlap: int | None = None,
        window_mode: str = "joint",
        schedule: str | None = None,
        conditioning: Mapping[str, float | str] | None = None,
        generator: torch.Generator | None = None,
        resume_from: ResumePoint | None = None,
        callback_on_step_end: Callback | None = None,
        callback_on_step_end_tensor_inputs: tuple[str, ...] = ("latents",),
    ) -> Iterator[Progress]:
        """Yield progress and finished frames (t,H,W,3), segment by segment.

        Args:
            image: the reference image (H,W,3) uint8.
            motion: the refocused motion.
            num_inference_steps: denoising steps; None = as configured.
            height, width: of the output; None = as `frame_size` chooses.
            window, overlap: rows of a window and those shared with the next; None = as configured.
            window_mode: "joint", or "published" for the stepped windows of ControlNeXt's code.
            schedule: deprecated, the old name of `window_mode`.
            conditioning: values that replace those of the condition's configuration.
            generator: draws all noise.
            resume_from: a `resume_point` of a render of the same inputs, options and seed.
            callback_on_step_end: as in diffusers; it may replace "latents", and knows no other.
        """
        # 1. check the options
        window_mode = resolve_window_mode(window_mode, schedule)
        if set(callback_on_step_end_tensor_inputs) - {"latents"}:
            raise ValueError("callback_on_step_end_tensor_inputs knows only 'latents'")
        steps = self._choose_steps(num_inference_steps)
        self._check_window_mode(window_mode)
        condition = self.conditioned(conditioning or {})
        layout = self.window_layout(window, overlap, condition.lead)

        # 2. open the work on this image and motion
        size = self.frame_size((image.shape[0], image.shape[1]), height, width)
        clip = condition.open(image, motion, size, self.vae, self.reference_tokens, generator)
        on_step = self._step_callback(callback_on_step_end)
        task = RenderTask(clip, len(motion), window_mode, steps, generator, on_step)

        # 3. render segment by segment, with less memory from where it runs out
        state = first_state(resume_from, layout, clip, generator)
        try:
            while state.frames < task.frames:
                state = yield from self._try_segment(task, state)
        finally:
            self.maybe_free_model_hooks()

    def _try_segment(
        self, task: RenderTask, state: RenderState
    ) -> Generator[Progress, None, RenderState]:
        """Render the next segment; return the state after it.

        Where the memory runs out, that is the state from which it is tried again with less.
        """
        try:
            return (yield from self._render_segment(task, state))
        except torch.OutOfMemoryError:
            pass
        # outside the except clause, which keeps what the failed attempt held
        state = self._with_less_memory(state)
        yield Progress(state.attempt.note, state.frames, task.frames)
        return state

    def _with_less_memory(self, state: RenderState) -> RenderState:
        """Return the state from which the failed segment is tried again with less memory."""
        attempt = state.attempt.with_less_memory(self)
        held = take_held_rows(state.held, attempt.layout)
        return replace(state, attempt=attempt, held=held)

    def _render_segment(
        self, task: RenderTask, state: RenderState
    ) -> Generator[Progress, None, RenderState]:
        """Denoise and decode the next segment; return the state after it."""
        clip = task.clip
        layout = state.attempt.layout
        windows = WINDOW_MODES[task.window_mode](layout)

        # 1. the next segment begins with the frames that the one before ended with
        shared = 0 if state.held is None else layout.overlap
        first = state.frames - shared
        segments = windows.segments(task.frames - first)
        start, stop = segments[0]
        start += first
        stop += first
        conditions = clip.conditions(start, stop)

        # 2. denoise
        noise = clip.noise(len(conditions), task.generator)
        estimates = denoise(
            self.denoiser,
            windows,
            prepare_scheduler(self.scheduler, task.steps, self.condition.device),
            conditions,
            noise,
            held=state.held,
            generator=task.generator,
            on_step=task.on_step,
        )
        done = state.segments * task.steps
        total = (state.segments + len(segments)) * task.steps
        for step, latents in enumerate(estimates, 1):
            picture = clip.preview(latents, conditions) if step < task.steps else None
            preview = None if picture is None else to_frames(picture)[0]
            yield Progress("denoise", done + step, total, preview=preview)

        # 3. decode
        frames = to_frames(clip.frames(latents, conditions, shared))
        held = take_held_rows(latents, layout)
        after = RenderState(state.attempt, stop, state.segments + 1, held)
        point = after.point(task.generator)
        yield Progress("decode", stop, task.frames, frames=frames, resume_point=point)
        return after

    @property
    def denoiser(self) -> Denoiser:
        """The guided UNet of the registered components."""
        return Denoiser(self.unet, self.controlnext, self.interaction)

    def check_conditioning(self, values: Mapping[str, float | str]) -> None:
        """Raise InputError where the weights do not know what the values ask for."""
        self.conditioned(values)

    def conditioned(self, values: Mapping[str, float | str]) -> ImageCondition:
        """Return the condition with these values; refuse those that the weights do not know."""
        condition = reconfigure(self.condition, values)
        if condition.needs_null_inputs and self.interaction is None:
            raise InputError(NO_NULL_INPUTS)
        return condition

    def window_layout(self, window: int | None, overlap: int | None, lead: int) -> WindowLayout:
        """Return the windows, their lead included, as asked for or as configured."""
        if window is None:
            window = self.config.default_window
        if overlap is None:
            overlap = min(self.config.default_overlap, window - lead - 1)
        return WindowLayout(window, overlap, lead)

    def workload(
        self,
        size: tuple[int, int],
        frames: int,
        *,
        steps: int | None = None,
        window: int | None = None,
        overlap: int | None = None,
        window_mode: str = "joint",
        conditioning: Mapping[str, float | str] | None = None,
    ) -> Workload:
        """Say what a run of `frames` frames of `size` (H,W) will ask of the networks."""
        condition = reconfigure(self.condition, conditioning or {})
        layout = self.window_layout(window, overlap, condition.lead)
        windows = WINDOW_MODES[window_mode](layout)
        window_rows = min(layout.window, frames + layout.lead)
        return Workload(
            latent_size=condition.latent_size(size),
            frames=frames,
            steps=self.config.default_steps if steps is None else steps,
            rows_per_step=windows.rows(frames),
            window_rows=window_rows,
            evaluations=condition.evaluations,
            decodings=condition.decodings,
            decode_chunk=condition.decode_chunk or window_rows,
        )

    def _choose_steps(self, steps: int | None) -> int:
        if steps is None:
            return self.config.default_steps
        if steps < 1:
            raise InputError(f"num_inference_steps is {steps}; give at least 1")
        return steps

    def _check_window_mode(self, window_mode: str) -> None:
        if window_mode not in WINDOW_MODES:
            known = ", ".join(WINDOW_MODES)
            raise InputError(f"window_mode is {window_mode!r}; choose one of {known}")
        if window_mode == "published" and getattr(self.scheduler, "noisy", False):
            raise InputError(
                "the published windows average steps without noise, but this model's sampler adds "
                "some; use `windows` joint"
            )

    def _step_callback(self, callback: Callback | None) -> OnStep | None:
        """Turn diffusers' callback into one that returns the latents to go on with."""
        if callback is None:
            return None

        def on_step(step: int, t: Tensor, latents: Tensor) -> Tensor:
            changes = callback(self, step, t, {"latents": latents}) or {}
            return changes.get("latents", latents)

        return on_step
