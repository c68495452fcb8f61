"""The denoising loop, and the two ways to denoise a segment window by window.

A clip is rendered segment by segment, so that memory stays flat. A segment is denoised in windows
that overlap. `JointWindows` average the denoiser's predictions and take one scheduler step for the
whole segment. `PublishedWindows` step every window by itself and average the stepped latents, as
the published ControlNeXt code does.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from diffusers import EulerDiscreteScheduler, UNetSpatioTemporalConditionModel
from torch import Tensor

from pipeline.models.controlnext import ControlNeXt, Injection
from pipeline.models.denoiser import controlled, run_unet
from pipeline.models.interaction import AudioVideoInteraction
from pipeline.models.windows import WindowLayout, plan_windows, triangular_weights
from pipeline.render.svd.conditions import Branch, SegmentConditions
from pipeline.values import InputError

# windows of a segment: they are denoised jointly before their frames are decoded, written and freed
SEGMENT_WINDOWS = 3
Span = tuple[int, int]
# what is called after a step: its number, its time and the latents -> the latents to go on with
OnStep = Callable[[int, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Denoiser:
    """A UNet with its control network and its audio-video interaction, guided by branches."""

    unet: UNetSpatioTemporalConditionModel
    controlnext: ControlNeXt
    interaction: AudioVideoInteraction | None = None

    def predict(
        self, model_input: Tensor, t: Tensor, conditions: SegmentConditions, rows: Sequence[int]
    ) -> Tensor:
        """Return the guided output for the scaled latents (1,f,C,h,w) of a segment's `rows`.

        It is the sum over all branches of share times output. Branches without a share are not
        evaluated. The control is in the UNet only while this runs.
        """
        total = torch.zeros_like(model_input)
        with controlled(self.unet, self.controlnext, self.interaction) as injection:
            for branch in conditions.branches:
                share = branch.shares(rows)
                if share.any():
                    output = self.evaluate(
                        injection, branch, rows, model_input, t, conditions.time_ids
                    )
                    total += output * share.view(1, -1, 1, 1, 1)
        return total

    def evaluate(
        self,
        injection: Injection,
        branch: Branch,
        rows: Sequence[int],
        model_input: Tensor,
        t: Tensor,
        time_ids: Sequence[float],
    ) -> Tensor:
        """Return the UNet's output (1,f,C,h,w) for one branch; inside it has the UNet's
        precision."""
        sample = model_input
        offset = None if branch.offset is None else branch.offset[:, rows]
        if offset is not None:
            sigma_squared = (8 * t).exp()  # t is 0.25 ln sigma
            sample = model_input - offset / (sigma_squared + 1).sqrt()
        dtype = self.unet.dtype
        output = run_unet(
            self.unet,
            injection,
            sample.to(dtype),
            t,
            branch.image_latents[:, rows].to(dtype),
            branch.tokens.to(dtype),
            self._control_features(branch, rows, t),
            branch.scale[rows].to(dtype),
            None if branch.audio is None else branch.audio[rows].to(dtype),
            time_ids=time_ids,
        )
        output = output.to(model_input.dtype)
        return output if offset is None else output + offset

    def _control_features(self, branch: Branch, rows: Sequence[int], t: Tensor) -> Tensor | None:
        """Return the control features of a window; those of the null pose where there are no
        pictures."""
        if branch.control is not None:
            extra = None if branch.extra is None else branch.extra[rows]
            return self.controlnext(branch.pictures(rows)[None], t, extra)
        if self.interaction is not None:
            return self.interaction.null_control(len(rows))
        return None


@dataclass(frozen=True)
class StepResult:
    """Latents (1,F,C,h,w) after a scheduler step, and the estimate of the clean ones."""

    latents: Tensor
    estimate: Tensor


class Windows(Protocol):
    """A way to take one denoising step with a segment."""

    def step(
        self,
        denoiser: Denoiser,
        scheduler: EulerDiscreteScheduler,
        latents: Tensor,
        t: Tensor,
        conditions: SegmentConditions,
        generator: torch.Generator | None,
    ) -> StepResult: ...


class ClipWindows(Windows, Protocol):
    """A way to cut a clip into segments and these into windows."""

    def segments(self, frames: int) -> list[Span]:
        """Cut a clip into segments (start, stop) of frames."""
        ...

    def rows(self, frames: int) -> int:
        """Count the rows that one step evaluates, over all windows of a clip."""
        ...


def denoise(
    denoiser: Denoiser,
    windows: Windows,
    scheduler: EulerDiscreteScheduler,
    conditions: SegmentConditions,
    noise: Tensor,
    *,
    held: Tensor | None = None,
    generator: torch.Generator | None = None,
    on_step: OnStep | None = None,
) -> Iterator[Tensor]:
    """Denoise a segment; yield clean estimates (1,F,C,h,w), one per step. The last one is the
    result.

    Args:
        denoiser: the guided UNet.
        windows: how a step is taken window by window.
        scheduler: set to the steps of this run; it is changed.
        conditions: the segment's conditions.
        noise: unit noise (1,F,C,h,w).
        held: finished latents of the first rows, which the segment shares with the one before.
        generator: for schedulers that add noise.
        on_step: is called after every step and returns the latents to go on with.
    """
    latents = noise * scheduler.init_noise_sigma
    last = len(scheduler.timesteps) - 1
    for number, t in enumerate(scheduler.timesteps):
        # 1. noise the held rows to the current sigma, so that the segment continues them
        if held is not None:
            shared = held.shape[1]
            latents[:, :shared] = held + noise[:, :shared] * scheduler.sigmas[number]

        # 2. predict and step, window by window
        result = windows.step(denoiser, scheduler, latents, t, conditions, generator)
        latents = result.latents

        # 3. let the caller read and change the latents
        if on_step is not None:
            latents = on_step(number, t, latents)
        yield result.estimate if number < last else latents


class WholeSegment:
    """The whole segment as one window, as in training."""

    def step(
        self,
        denoiser: Denoiser,
        scheduler: EulerDiscreteScheduler,
        latents: Tensor,
        t: Tensor,
        conditions: SegmentConditions,
        generator: torch.Generator | None,
    ) -> StepResult:
        """Take one scheduler step for the whole segment."""
        model_input = scheduler.scale_model_input(latents, t)
        prediction = self.average(denoiser, model_input, t, conditions)
        result = scheduler.step(prediction, t, latents, generator=generator)
        return StepResult(result.prev_sample, result.pred_original_sample)

    def average(
        self, denoiser: Denoiser, model_input: Tensor, t: Tensor, conditions: SegmentConditions
    ) -> Tensor:
        """Return the guided output (1,F,C,h,w) for scaled latents of the same shape."""
        return denoiser.predict(model_input, t, conditions, list(range(len(conditions))))


@dataclass(frozen=True)
class JointWindows(WholeSegment):
    """Windows that take one scheduler step together, in segments of up to three windows."""

    layout: WindowLayout

    def segments(self, frames: int) -> list[Span]:
        """Cut a clip into segments of up to three windows."""
        return plan_segments(frames, self.layout.frames, self.layout.overlap)

    def rows(self, frames: int) -> int:
        """Count the rows that one step evaluates, over all windows of a clip."""
        total = 0
        for start, stop in self.segments(frames):
            spans = plan_windows(stop - start, self.layout.frames, self.layout.overlap)
            total += sum(end - begin + self.layout.lead for begin, end in spans)
        return total

    def average(
        self, denoiser: Denoiser, model_input: Tensor, t: Tensor, conditions: SegmentConditions
    ) -> Tensor:
        """Average the windows' guided outputs with triangular weights where they overlap.

        Every window begins with the lead.
        """
        lead = conditions.lead
        frames = len(conditions) - lead
        total = torch.zeros_like(model_input)
        weight = total.new_zeros(len(conditions))
        for start, stop in plan_windows(frames, self.layout.frames, self.layout.overlap):
            rows = [*range(lead), *range(start + lead, stop + lead)]
            window_weight = weight.new_ones(len(rows))
            window_weight[lead:] = torch.as_tensor(triangular_weights(stop - start))
            output = denoiser.predict(model_input[:, rows], t, conditions, rows)
            total[:, rows] += output * window_weight.view(1, -1, 1, 1, 1)
            weight[rows] += window_weight
        return total / weight.view(1, -1, 1, 1, 1)


@dataclass(frozen=True)
class PublishedWindows:
    """Windows as in the published ControlNeXt code: each is stepped by itself, then latents are
    averaged.

    The first row of every window is given the lead's control picture. Its latents are thrown away,
    but in the first window. The whole clip is one segment.
    """

    layout: WindowLayout

    def segments(self, frames: int) -> list[Span]:
        """Take the whole clip as one segment."""
        return [(0, frames)]

    def rows(self, frames: int) -> int:
        """Count the rows that one step evaluates, over all windows of a clip."""
        spans = self._plan(frames + self.layout.lead)
        return sum(stop - start for start, stop in spans)

    def step(
        self,
        denoiser: Denoiser,
        scheduler: EulerDiscreteScheduler,
        latents: Tensor,
        t: Tensor,
        conditions: SegmentConditions,
        generator: torch.Generator | None,
    ) -> StepResult:
        """Step every window with a copy of the scheduler, and average what they give."""
        stepped = torch.zeros_like(latents)
        estimate = torch.zeros_like(latents)
        count = torch.zeros(len(conditions))
        for start, stop in self._plan(len(conditions)):
            window_scheduler = copy.copy(scheduler)  # so that each window takes the same step
            window = latents[:, start:stop]
            rows = [0, *range(start + 1, stop)]
            model_input = window_scheduler.scale_model_input(window, t)
            prediction = denoiser.predict(model_input, t, conditions, rows)
            result = window_scheduler.step(prediction, t, window, generator=generator)
            skip = 0 if start == 0 else 1
            stepped[:, start + skip : stop] += result.prev_sample[:, skip:]
            estimate[:, start + skip : stop] += result.pred_original_sample[:, skip:]
            count[start + skip : stop] += 1
        weight = count.to(latents).view(1, -1, 1, 1, 1)
        return StepResult(stepped / weight, estimate / weight)

    def _plan(self, rows: int) -> list[Span]:
        return plan_published_windows(rows, self.layout.window, self.layout.overlap)


WINDOW_MODES: dict[str, Callable[[WindowLayout], ClipWindows]] = {
    "joint": JointWindows,
    "published": PublishedWindows,
}


def plan_segments(frames: int, window: int, overlap: int) -> list[Span]:
    """Cut a clip into segments (start, stop) of up to three windows of frames.

    Each segment begins `overlap` frames before the last one ended.
    """
    if not 0 <= overlap < window:
        raise InputError(
            f"overlap is {overlap} with a window of {window} frames; give 0 to {window - 1}"
        )
    length = window + (SEGMENT_WINDOWS - 1) * (window - overlap)
    segments = []
    start = 0
    while True:
        stop = min(start + length, frames)
        segments.append((start, stop))
        if stop == frames:
            return segments
        start = stop - overlap


def plan_published_windows(rows: int, window: int, overlap: int) -> list[Span]:
    """Cut `rows` rows into the published loop's windows (start, stop); the lead counts as the first
    row."""
    size = min(window, rows)
    if rows == size:
        overlap = min(overlap, size - 1)
    if not 1 <= overlap < size:
        raise InputError(
            f"overlap is {overlap} with windows of {size} frames; "
            f"published windows need 1 to {size - 1}"
        )
    last = rows - size
    starts = [min(start, last) for start in range(0, rows - overlap, size - overlap)]
    return [(start, start + size) for start in starts]


def take_held_rows(latents: Tensor | None, layout: WindowLayout) -> Tensor | None:
    """Return the rows of finished latents that the next segment continues: the lead and the
    overlap.

    None where there are no such rows.
    """
    if latents is None or not layout.lead + layout.overlap:
        return None
    tail = latents[:, latents.shape[1] - layout.overlap :]
    if not layout.lead:
        return tail
    return torch.cat([latents[:, : layout.lead], tail], 1)
