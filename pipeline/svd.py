"""The SVD-shaped backbone: a stock diffusers UNet, ControlNeXt through a hook, any latent codec.

Published weights and the embedded model run through this one class; they differ in components and configs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from diffusers import EulerDiscreteScheduler, UNetSpatioTemporalConditionModel
from torch import Tensor

from pipeline import windows
from pipeline.base import AudioPosePipeline, Progress
from pipeline.clips import Motion
from pipeline.conditioning import Branch, Conditions, Shot, WarpedReference
from pipeline.frames import output_size, to_frames
from pipeline.models.aniportrait import Audio2Mesh
from pipeline.models.audio2pose import Audio2Pose
from pipeline.models.controlnext import ControlNeXt, Injection
from pipeline.models.denoiser import ReferenceTokens, controlled, predict, skip_idle_temporal
from pipeline.models.haar import HaarLatent

SEGMENT_WINDOWS = 3  # windows that are denoised jointly before their frames are decoded, written and freed


class AudioPoseSVDPipeline(AudioPosePipeline):
    """Speech- and pose-driven video with an SVD-shaped UNet, after APV-Gen and ApoAvatar.

    The saved config holds the defaults: steps, window, overlap, area in pixels, the multiple of the sides.
    """

    model_cpu_offload_seq = "reference_tokens->controlnext->unet->vae"

    def __init__(
        self,
        vae: HaarLatent,
        unet: UNetSpatioTemporalConditionModel,
        controlnext: ControlNeXt,
        reference_tokens: ReferenceTokens,
        condition: WarpedReference,
        scheduler: EulerDiscreteScheduler,
        audio2pose: Audio2Pose | Audio2Mesh,
        default_steps: int = 1,
        default_window: int = 16,
        default_overlap: int = 4,
        area: int = 512 * 768,
        multiple: int = 16,
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae, unet=unet, controlnext=controlnext, reference_tokens=reference_tokens,
            condition=condition, scheduler=scheduler, audio2pose=audio2pose,
        )  # fmt: skip
        self.register_to_config(
            default_steps=default_steps, default_window=default_window, default_overlap=default_overlap,
            area=area, multiple=multiple,
        )  # fmt: skip
        skip_idle_temporal(self.unet)

    def frame_size(self, picture: tuple[int, int], height: int | None, width: int | None) -> tuple[int, int]:
        """(H, W) of the output: the reference's aspect with the configured area, or what was asked for."""
        return output_size(picture, self.config.area, self.config.multiple, height, width)

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
        generator: torch.Generator | None = None,
        callback_on_step_end: Callable[..., dict[str, Any] | None] | None = None,
        callback_on_step_end_tensor_inputs: tuple[str, ...] = ("latents",),
    ) -> Iterator[Progress]:
        """Yields progress and finished frames (t,H,W,3), segment by segment, so that memory stays flat."""
        if set(callback_on_step_end_tensor_inputs) - {"latents"}:
            raise ValueError("callback_on_step_end_tensor_inputs knows only 'latents'")
        config = self.config
        steps = config.default_steps if num_inference_steps is None else num_inference_steps
        window = config.default_window if window is None else window
        overlap = min(config.default_overlap, window - 1) if overlap is None else overlap
        if steps < 1:
            raise ValueError(f"num_inference_steps is {steps}; give at least 1")
        size = self.frame_size(image.shape[:2], height, width)
        shot = self.condition.shot(image, motion, size, self.vae, self.reference_tokens)
        segments = plan_segments(len(motion), window, overlap)
        held, total = None, len(segments) * steps
        for index, (start, stop) in enumerate(segments):
            given = shot.conditions(start, stop)
            sampling = self._denoise(
                shot, given, steps, window, overlap, held, generator, callback_on_step_end
            )
            for step, latents in enumerate(sampling, 1):
                preview = to_frames(shot.preview(latents, given))[0] if step < steps else None
                yield Progress("denoise", index * steps + step, total, preview=preview)
            skip = 0 if held is None else held.shape[1]
            held = latents[:, latents.shape[1] - overlap :] if overlap else None
            yield Progress("decode", stop, len(motion), frames=to_frames(shot.frames(latents, given, skip)))

    def _schedule(self, steps: int) -> EulerDiscreteScheduler:
        """A scheduler of its own: the registered one is never changed inside a call."""
        scheduler = copy.deepcopy(self.scheduler)
        scheduler.set_timesteps(steps, device=self.condition.device)
        return scheduler

    def _denoise(
        self,
        shot: Shot,
        given: Conditions,
        steps: int,
        window: int,
        overlap: int,
        held: Tensor | None,
        generator: torch.Generator | None,
        callback: Callable[..., dict[str, Any] | None] | None,
    ) -> Iterator[Tensor]:
        """Yields clean estimates (1,F,C,h,w), one per step; the last one is the result.

        `held` (1,overlap,C,h,w) are the finished latents of the frames shared with the segment before: they
        are re-noised to the current sigma, so that the seam continues them. The control is in the UNet only
        while it runs: between two steps the caller may use it, or leave.
        """
        scheduler = self._schedule(steps)
        noise = shot.noise(len(given), generator)
        latents = noise * scheduler.init_noise_sigma
        frames = windows.plan(len(given), window, overlap)
        for index, time in enumerate(scheduler.timesteps):
            if held is not None:
                count = held.shape[1]
                latents[:, :count] = held + noise[:, :count] * scheduler.sigmas[index]
            model_input = scheduler.scale_model_input(latents, time)
            with controlled(self.unet, self.controlnext) as injection:
                output = self._joint(injection, model_input, time, given, frames)
            result = scheduler.step(output, time, latents)
            latents = result.prev_sample
            if callback is not None:
                latents = (callback(self, index, time, {"latents": latents}) or {}).get("latents", latents)
            yield result.pred_original_sample if index + 1 < steps else latents

    def _joint(
        self,
        injection: Injection,
        model_input: Tensor,
        time: Tensor,
        given: Conditions,
        frames: list[tuple[int, int]],
    ) -> Tensor:
        """The guided output of all windows, averaged with triangular weights where they overlap."""
        total = torch.zeros_like(model_input)
        weight = torch.zeros(model_input.shape[1], device=model_input.device, dtype=model_input.dtype)
        for start, stop in frames:
            rows = slice(start, stop)
            share = torch.as_tensor(windows.weights(stop - start), device=weight.device, dtype=weight.dtype)
            for branch in given.branches:
                output = self._evaluate(injection, branch, rows, model_input[:, rows], time)
                total[:, rows] += output * (share * branch.share[rows]).view(1, -1, 1, 1, 1)
            weight[rows] += share
        return total / weight.view(1, -1, 1, 1, 1)

    def _evaluate(
        self, injection: Injection, branch: Branch, rows: slice, model_input: Tensor, time: Tensor
    ) -> Tensor:
        """The UNet's output (1,f,C,h,w) for one branch in one window."""
        extra = None if branch.extra is None else branch.extra[rows]
        control = self.controlnext(branch.control[None, rows], time, extra)
        return predict(
            self.unet, injection, model_input, time, branch.image_latents[:, rows], branch.tokens, control,
            branch.scale[rows],
        )  # fmt: skip


def plan_segments(frames: int, window: int, overlap: int) -> list[tuple[int, int]]:
    """Segments (start, stop) of up to three windows; each begins `overlap` frames before the last ended."""
    if not 0 <= overlap < window:
        raise ValueError(f"overlap is {overlap} with a window of {window} frames; give 0 to {window - 1}")
    length = window + (SEGMENT_WINDOWS - 1) * (window - overlap)
    segments, start = [], 0
    while True:
        stop = min(start + length, frames)
        segments.append((start, stop))
        if stop == frames:
            return segments
        start = stop - overlap
