"""The SVD-shaped backbone: a stock diffusers UNet, ControlNeXt through a hook, any latent codec.

Published weights and the embedded model run through this one class; they differ in components and configs.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

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
from pipeline.models.controlnext import ControlNeXt, Injection
from pipeline.models.denoiser import ReferenceTokens, controlled, prepare_scheduler, run_unet
from pipeline.models.haar import HaarLatent
from pipeline.models.interaction import AudioVideoInteraction
from pipeline.models.model_settings import NO_NULL_INPUTS, ModelSettings
from pipeline.models.temporal import skip_idle_temporal
from pipeline.render.base import AudioPosePipeline
from pipeline.render.runtime.out_of_memory import Room
from pipeline.render.svd.conditions import Branch, adjusted
from pipeline.render.svd.denoising import SCHEDULES, Callback, State, Task, trimmed
from pipeline.render.svd.still_reference import StillConditions, StillReference
from pipeline.render.svd.warped_reference import Conditions, WarpedReference
from pipeline.render.tensors import to_frames
from pipeline.values import InputError, Motion, Progress


class AudioPoseSVDPipeline(AudioPosePipeline):
    """Speech- and pose-driven video with an SVD-shaped UNet, after APV-Gen and ApoAvatar.

    The saved config holds the defaults: steps, window, overlap, area in pixels, the multiple of the sides,
    which face points the sound moves and how the slider acts.
    """

    model_cpu_offload_seq = "reference_tokens->controlnext->unet->vae"
    # small; the first two are asked for their device, the last is called by its parts, which no hook sees
    _exclude_from_cpu_offload = ["condition", "audio2pose", "interaction"]
    _optional_components = ["interaction"]

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
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae, unet=unet, controlnext=controlnext, reference_tokens=reference_tokens,
            condition=condition, scheduler=scheduler, audio2pose=audio2pose,
            interaction=interaction,
        )  # fmt: skip
        self.register_to_config(
            default_steps=default_steps, default_window=default_window, default_overlap=default_overlap,
            area=area, multiple=multiple, splice_region=splice_region, refocus_mode=refocus_mode,
        )  # fmt: skip
        skip_idle_temporal(self.unet)

    @property
    def settings(self) -> ModelSettings:
        """What the analysis and the slider need to know of this model."""
        return ModelSettings(
            self.config.area,
            self.config.multiple,
            self.config.splice_region,
            self.config.refocus_mode,
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
        schedule: str = "joint",
        conditioning: Mapping[str, float] | None = None,
        generator: torch.Generator | None = None,
        callback_on_step_end: Callback | None = None,
        callback_on_step_end_tensor_inputs: tuple[str, ...] = ("latents",),
    ) -> Iterator[Progress]:
        """Yields progress and finished frames (t,H,W,3), segment by segment, so that memory stays flat.

        schedule: "joint", or "published" for the stepped windows of ControlNeXt's code. conditioning: values
        that replace those of the condition's configuration.
        """
        if set(callback_on_step_end_tensor_inputs) - {"latents"}:
            raise InputError("callback_on_step_end_tensor_inputs knows only 'latents'")
        steps = self.config.default_steps if num_inference_steps is None else num_inference_steps
        if steps < 1:
            raise InputError(f"num_inference_steps is {steps}; give at least 1")
        if schedule not in SCHEDULES:
            raise InputError(f"schedule is {schedule!r}; choose one of {', '.join(SCHEDULES)}")
        if schedule == "published" and getattr(self.scheduler, "noisy", False):
            raise InputError(
                "the published windows average steps without noise, but this model's sampler adds some; "
                "use --windows joint"
            )
        condition = self.conditioned(conditioning or {})
        room = self.room(window, overlap, condition.lead)
        size = self.frame_size(image.shape[:2], height, width)
        shot = condition.shot(image, motion, size, self.vae, self.reference_tokens, generator)
        task = Task(shot, len(motion), SCHEDULES[schedule], steps, generator, callback_on_step_end)
        state = State(room)
        try:
            while state.done < task.frames:
                short = False
                try:
                    state = yield from self._segment(task, state)
                except torch.OutOfMemoryError:
                    short = True  # what the failed attempt held is freed only behind this clause
                if short:
                    room, note = state.room.less(self)
                    state = replace(state, room=room, held=trimmed(state.held, room))
                    yield Progress(note, state.done, task.frames)
        finally:
            self.maybe_free_model_hooks()

    def conditioned(self, values: Mapping[str, float]) -> WarpedReference | StillReference:
        """The condition with other values; ValueError where the weights do not know what they ask for."""
        condition = adjusted(self.condition, values)
        if condition.nulls and self.interaction is None:
            raise InputError(NO_NULL_INPUTS)
        return condition

    def room(self, window: int | None, overlap: int | None, lead: int) -> Room:
        """The window, its lead included, and the overlap, as given or as configured."""
        window = self.config.default_window if window is None else window
        overlap = (
            min(self.config.default_overlap, window - lead - 1) if overlap is None else overlap
        )
        return Room(window, overlap, lead)

    def _segment(self, task: Task, state: State) -> Generator[Progress, None, State]:
        """Denoises and decodes the next segment; returns the state behind it."""
        room, shot = state.room, task.shot
        kept = 0 if state.held is None else room.overlap
        rest = task.schedule.segments(task.frames - state.done + kept, room)
        start, stop = (state.done - kept + end for end in rest[0])
        total = (state.segments + len(rest)) * task.steps
        given = shot.conditions(start, stop)
        for step, latents in enumerate(
            task.schedule.sample(self, task, given, room, state.held), 1
        ):
            picture = shot.preview(latents, given) if step < task.steps else None
            preview = None if picture is None else to_frames(picture)[0]
            yield Progress("denoise", state.segments * task.steps + step, total, preview=preview)
        yield Progress(
            "decode", stop, task.frames, frames=to_frames(shot.frames(latents, given, kept))
        )
        return State(room, stop, state.segments + 1, trimmed(latents, room))

    def own_schedule(self, steps: int) -> EulerDiscreteScheduler:
        """A scheduler of its own: the registered one is never changed inside a call."""
        return prepare_scheduler(self.scheduler, steps, self.condition.device)

    def controlled(self) -> AbstractContextManager[Injection]:
        """The control in the UNet, while the context lasts."""
        return controlled(self.unet, self.controlnext, self.interaction)

    def guided(
        self, injection: Injection, given: Conditions | StillConditions, rows: list[int], model_input: Tensor,
        time: Tensor,
    ) -> Tensor:  # fmt: skip
        """The sum over all branches of share times output (1,f,C,h,w); idle branches are not evaluated."""
        total = torch.zeros_like(model_input)
        for branch in given.branches:
            share = branch.shares(rows)
            if share.any():
                output = self._evaluate(injection, branch, rows, model_input, time, given.time_ids)
                total += output * share.view(1, -1, 1, 1, 1)
        return total

    def _evaluate(
        self, injection: Injection, branch: Branch, rows: list[int], model_input: Tensor, time: Tensor,
        time_ids: Sequence[float],
    ) -> Tensor:  # fmt: skip
        """The UNet's output (1,f,C,h,w) for one branch in one window, in the UNet's precision inside."""
        extra = None if branch.extra is None else branch.extra[rows]
        control = None
        if branch.control is not None:
            control = self.controlnext(branch.pictures(rows)[None], time, extra)
        elif self.interaction is not None:
            control = self.interaction.null_control(len(rows))
        offset = None if branch.offset is None else branch.offset[:, rows]
        own_input = model_input
        if offset is not None:
            own_input = (
                model_input - offset / ((8 * time).exp() + 1).sqrt()
            )  # time is 0.25 ln sigma
        kind = self.unet.dtype
        parts = (own_input, branch.image_latents[:, rows], branch.tokens, branch.scale[rows])
        sample, still, tokens, scale = (part.to(kind) for part in parts)
        audio = None if branch.audio is None else branch.audio[rows].to(kind)
        output = run_unet(
            self.unet,
            injection,
            sample,
            time,
            still,
            tokens,
            control,
            scale,
            audio,
            time_ids=time_ids,
        ).to(model_input.dtype)
        return output if offset is None else output + offset
