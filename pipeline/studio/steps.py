"""The steps that the command line and the app both run, so that they cannot differ.

`load` -> `analyse` -> `tune` -> `generate`, or what `outputs` writes. `Request` holds every choice
of the user. Generators yield `Progress`; closing `generate` keeps the frames that are finished.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from pipeline import media
from pipeline.analysis.analyse import Analysis, AnalysisOptions
from pipeline.analysis.analyse import analyse as analyse_inputs
from pipeline.analysis.driving import Driving, open_driving
from pipeline.analysis.expectations import expectation
from pipeline.analysis.framing import crop_around_speaker, output_size
from pipeline.analysis.speakers import parse_speaker
from pipeline.analysis.talking_face import SpeechNetwork
from pipeline.models.model_settings import ModelSettings
from pipeline.motion import retarget
from pipeline.motion.refocus import Regions, refocus
from pipeline.render.load import blame_folder
from pipeline.studio.accents_file import read_accents
from pipeline.studio.request import Request
from pipeline.studio.resume_notes import Record
from pipeline.values import Audio, Motion, Progress

Renderer = Callable[..., Generator[Progress, None, None]]


@dataclass(frozen=True)
class Inputs:
    """The inputs of a run, and the size of its output.

    Args:
        picture: (H,W,3) uint8, the reference image, cropped to the output's aspect.
        audio: the speech.
        size: (H, W) of the output.
        driving: the driving clip or pose, or None for generated gestures.
        sound: the track of the user's file, which the result keeps as it is.
        notes: sentences for the user on how the files were read.
        speaker: who speaks in the picture; None = its first person.
    """

    picture: np.ndarray
    audio: Audio
    size: tuple[int, int]
    driving: Driving | None = None
    sound: media.SoundTrack | None = None
    notes: tuple[str, ...] = ()
    speaker: retarget.Person | None = None

    @property
    def heard(self) -> Audio | media.SoundTrack:
        """What is heard beside the frames: the user's own sound, where it is known."""
        return self.audio if self.sound is None else self.sound


@dataclass(frozen=True)
class AnalysedInputs:
    """A request, its inputs and their analysis."""

    request: Request
    inputs: Inputs
    analysis: Analysis


def load(request: Request, settings: ModelSettings) -> Inputs:
    """Read the picture, the speech and the driving clip; choose the output size."""
    settings.check_conditioning(request.conditioning())  # refused now, not after the analysis
    picture = media.read_image(request.reference)
    size = output_size(
        picture.shape[:2], settings.area, settings.multiple, request.height, request.width
    )
    track = media.choose_track(request.audio)
    audio = media.read_track(track)
    driving = None
    if request.driving is not None:
        driving = open_driving(request.driving, request.detector)
    asked = parse_speaker(request.speaker) if request.speaker else None
    crop = crop_around_speaker(picture, size, request.detector, asked)
    return Inputs(
        crop.picture,
        audio,
        size,
        driving,
        track,
        notes=(*track.notes, *crop.notes),
        speaker=crop.speaker,
    )


def analyse(
    request: Request, settings: ModelSettings, network: SpeechNetwork, inputs: Inputs
) -> Generator[Progress, None, Analysis]:
    """Run the slow part, which does not depend on the slider; see `pipeline.analysis.analyse`."""
    person = retarget.parse_person(request.person) if request.person else None
    options = AnalysisOptions(
        fps=request.fps,
        detector=request.detector,
        box=request.fda,
        splice=request.splice or settings.splice_region,
        length=request.length,
        alignment=retarget.Alignment(request.retarget, request.framing, person),
        amplitude=request.mouth,
        seed=request.seed,
        accents=_given_accents(request, inputs.audio),
        audio_offset=request.audio_offset,
        gestures=request.gestures,
        speaker=inputs.speaker,
        prosody=request.prosody,
    )
    work = analyse_inputs(network, inputs.picture, inputs.audio, inputs.driving, options)
    analysis = yield from work
    sentence = expectation(settings.condition, analysis.motion, inputs.size)
    expected = () if sentence is None else (sentence,)
    caveats = settings.caveats(request.refocus, request.pose_free)
    warnings = (*inputs.notes, *analysis.warnings, *expected, *caveats)
    return replace(analysis, warnings=warnings)


def _given_accents(request: Request, audio: Audio) -> np.ndarray | None:
    """Return the user's accents (N,2), seconds and strengths, or None for those of the speech."""
    if request.accent_rows is not None:
        return np.array(request.accent_rows, float).reshape(-1, 2)
    if request.accents:
        return read_accents(request.accents, audio)
    return None


def tune(request: Request, settings: ModelSettings, analysis: Analysis) -> Motion:
    """Apply the slider to the analysed motion: the one call that preview and render share."""
    regions = Regions(
        arms=request.arms_intensity,
        hands=request.hands_intensity,
        head=request.head_intensity,
        torso=request.torso_intensity,
    )
    return refocus(
        analysis.motion,
        request.intensity,
        size=request.gesture_size,
        mode=request.refocus or settings.refocus_mode,
        regions=regions,
    )


def generate(
    request: Request,
    render: Renderer,
    inputs: Inputs,
    motion: Motion,
    path: str,
) -> Iterator[Progress]:
    """Render `motion` into the video at `path`.

    A closed or broken run leaves the finished part with its sound. `render` is a pipeline's
    `render`, or a wrapper that runs it on a ZeroGPU Space.
    """
    with open_output(request, inputs, motion, path) as writer:
        yield from render_into(writer, request, render, inputs, motion)


def open_output(
    request: Request, inputs: Inputs, motion: Motion, path: str, record: Record | None = None
) -> media.ResumableWriter:
    """Open the writer of a render; with a `record` a broken run can be gone on with."""
    height, width = inputs.size
    settings = replace(request, height=height, width=width).settings()
    earlier = None if record is None else record.earlier
    return media.open_render_writer(
        path,
        motion.pose.fps,
        inputs.size,
        media.Content(inputs.heard, settings),
        expected_frames=len(motion),
        is_resumable=record is not None,
        extent=None if earlier is None else earlier.extent,
    )


def render_into(
    writer: media.ResumableWriter,
    request: Request,
    render: Renderer,
    inputs: Inputs,
    motion: Motion,
    record: Record | None = None,
) -> Iterator[Progress]:
    """Render what is not finished yet into an open output.

    Args:
        writer: what `open_output` returned for the same request and record.
        request: the choices of the user.
        render: as for `generate`.
        inputs: the inputs.
        motion: the motion.
        record: keeps what the next run needs to go on.
    """
    height, width = inputs.size
    options = _render_options(request)
    if record is not None and record.earlier is not None:
        options["resume_from"] = record.earlier.point
    work = render(
        inputs.picture,
        motion,
        height=height,
        width=width,
        generator=torch.Generator().manual_seed(request.seed),
        **options,
    )
    try:
        for step in blame_folder(work, request.model):
            if step.frames is not None:
                writer.write(step.frames)
            if record is not None and step.resume_point is not None:
                writer.checkpoint(record.notes(writer.extent, step.resume_point))
            yield step
    finally:
        work.close()


def _render_options(request: Request) -> dict[str, Any]:
    """Return the renderer's options that the user chose; a renderer has its own defaults."""
    options: dict[str, Any] = {
        "num_inference_steps": request.steps,
        "window": request.window,
        "overlap": request.overlap,
        "conditioning": request.conditioning() or None,
        "window_mode": None if request.windows == Request.windows else request.windows,
    }
    return {name: value for name, value in options.items() if value is not None}
