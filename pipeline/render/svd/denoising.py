"""How a segment's windows are denoised together: jointly, or as the published ControlNeXt loop does it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.models import windows
from pipeline.render.runtime.out_of_memory import Room
from pipeline.values import InputError

SEGMENT_WINDOWS = (
    3  # windows that are denoised jointly before their frames are decoded, written and freed
)
Callback = Callable[..., dict[str, Any] | None]


@dataclass(frozen=True)
class Schedule:
    """sample: yields latents; segments: (start, stop) of frames; rows: how many one step evaluates."""

    sample: Callable[..., Iterator[Tensor]]
    segments: Callable[[int, Room], list[tuple[int, int]]]
    rows: Callable[[int, Room], int]


@dataclass(frozen=True)
class Task:
    """One clip in work: its shot, length, and how it is sampled."""

    shot: Any
    frames: int
    schedule: Schedule
    steps: int
    generator: torch.Generator | None
    callback: Callback | None


@dataclass(frozen=True)
class State:
    """Finished frames and segments, and the latents (1,lead+overlap,C,h,w) that the next one continues."""

    room: Room
    done: int = 0
    segments: int = 0
    held: Tensor | None = None


def trimmed(latents: Tensor | None, room: Room) -> Tensor | None:
    """The lead and the last `overlap` rows of finished latents, or None where there is neither."""
    if latents is None or not room.lead + room.overlap:
        return None
    tail = latents[:, latents.shape[1] - room.overlap :]
    return torch.cat([latents[:, : room.lead], tail], 1) if room.lead else tail


def joint(pipe: Any, task: Task, given: Any, room: Room, held: Tensor | None) -> Iterator[Tensor]:
    """Yields clean estimates (1,F,C,h,w), one per step; the last one is the result.

    All windows take one scheduler step together. `held` are the finished latents of the rows shared with the
    segment before: they are re-noised to the current sigma, so that the seam continues them. The control is
    in the UNet only while it runs: between two steps the caller may use it, or leave.
    """
    scheduler = pipe.own_schedule(task.steps)
    noise = task.shot.noise(len(given), task.generator)
    latents = noise * scheduler.init_noise_sigma
    for index, time in enumerate(scheduler.timesteps):
        if held is not None:
            count = held.shape[1]
            latents[:, :count] = held + noise[:, :count] * scheduler.sigmas[index]
        output = _averaged(pipe, given, room, scheduler.scale_model_input(latents, time), time)
        result = scheduler.step(output, time, latents, generator=task.generator)
        latents = _called_back(pipe, task, index, time, result.prev_sample)
        yield result.pred_original_sample if index + 1 < task.steps else latents


def _averaged(pipe: Any, given: Any, room: Room, model_input: Tensor, time: Tensor) -> Tensor:
    """The guided output of all windows, averaged with triangular weights where they overlap.

    Every window sees the lead before its own frames.
    """
    lead = given.lead
    total = torch.zeros_like(model_input)
    weight = torch.zeros(model_input.shape[1], device=model_input.device, dtype=model_input.dtype)
    with pipe.controlled() as injection:
        for start, stop in windows.plan(len(given) - lead, room.window - lead, room.overlap):
            rows = [*range(lead), *range(start + lead, stop + lead)]
            share = torch.ones(len(rows), device=weight.device, dtype=weight.dtype)
            share[lead:] = torch.as_tensor(windows.weights(stop - start))
            output = pipe.guided(injection, given, rows, model_input[:, rows], time)
            total[:, rows] += output * share.view(1, -1, 1, 1, 1)
            weight[rows] += share
    return total / weight.view(1, -1, 1, 1, 1)


def stepped(pipe: Any, task: Task, given: Any, room: Room, held: Tensor | None) -> Iterator[Tensor]:
    """Yields what `joint` does, by the published schedule: plain averages of stepped latents.

    Position 0 of every window is given the lead's control picture and, but in the first window, thrown away.
    The whole clip is one segment, so that `held` is always None.
    """
    scheduler = pipe.own_schedule(task.steps)
    latents = task.shot.noise(len(given), task.generator) * scheduler.init_noise_sigma
    spans = published_windows(len(given), room.window, room.overlap)
    for index, time in enumerate(scheduler.timesteps):
        moved, clean, count = (
            torch.zeros_like(latents),
            torch.zeros_like(latents),
            torch.zeros(len(given)),
        )
        for start, stop in spans:
            own = copy.copy(scheduler)  # each window takes the same step
            part = latents[:, start:stop]
            rows = [0, *range(start + 1, stop)]
            with pipe.controlled() as injection:
                output = pipe.guided(
                    injection, given, rows, own.scale_model_input(part, time), time
                )
            result = own.step(output, time, part, generator=task.generator)
            first = 0 if start == 0 else 1
            moved[:, start + first : stop] += result.prev_sample[:, first:]
            clean[:, start + first : stop] += result.pred_original_sample[:, first:]
            count[start + first : stop] += 1
        share = count.to(latents).view(1, -1, 1, 1, 1)
        latents = _called_back(pipe, task, index, time, moved / share)
        yield clean / share if index + 1 < task.steps else latents


def published_windows(rows: int, size: int, overlap: int) -> list[tuple[int, int]]:
    """Windows (start, stop) of the published loop over `rows` frames, the lead counted as the first."""
    size = min(size, rows)
    overlap = min(overlap, size - 1) if rows == size else overlap
    if not 1 <= overlap < size:
        raise InputError(
            f"overlap is {overlap} with windows of {size} frames; this schedule needs 1 to {size - 1}"
        )
    starts = range(0, rows - overlap, size - overlap)
    return [(min(start, rows - size), min(start, rows - size) + size) for start in starts]


def _called_back(pipe: Any, task: Task, index: int, time: Tensor, latents: Tensor) -> Tensor:
    if task.callback is None:
        return latents
    return (task.callback(pipe, index, time, {"latents": latents}) or {}).get("latents", latents)


def plan_segments(frames: int, window: int, overlap: int) -> list[tuple[int, int]]:
    """Segments (start, stop) of up to three windows; each begins `overlap` frames before the last ended."""
    if not 0 <= overlap < window:
        raise InputError(
            f"overlap is {overlap} with a window of {window} frames; give 0 to {window - 1}"
        )
    length = window + (SEGMENT_WINDOWS - 1) * (window - overlap)
    segments, start = [], 0
    while True:
        stop = min(start + length, frames)
        segments.append((start, stop))
        if stop == frames:
            return segments
        start = stop - overlap


def _joint_segments(frames: int, room: Room) -> list[tuple[int, int]]:
    return plan_segments(frames, room.window - room.lead, room.overlap)


def _joint_rows(frames: int, room: Room) -> int:
    own = room.window - room.lead
    plans = (
        windows.plan(stop - start, own, room.overlap)
        for start, stop in _joint_segments(frames, room)
    )
    return sum(stop - start + room.lead for plan in plans for start, stop in plan)


def _published_segments(frames: int, room: Room) -> list[tuple[int, int]]:
    return [(0, frames)]


def _published_rows(frames: int, room: Room) -> int:
    spans = published_windows(frames + room.lead, room.window, room.overlap)
    return sum(stop - start for start, stop in spans)


SCHEDULES = {
    "joint": Schedule(joint, _joint_segments, _joint_rows),
    "published": Schedule(stepped, _published_segments, _published_rows),
}
