"""Files in, files out: the steps that the command line and the app both run, so that they cannot differ.

`Request` holds every choice of the user; `load` -> `analyse` -> `tune` -> `write_skeleton`, `write_draft` or
`generate`. Generators yield `Progress`; closing `generate` keeps the frames that are finished.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from pipeline import media
from pipeline.analysis.analyse import Analysis
from pipeline.analysis.framing import crop_around_person
from pipeline.motion import retarget
from pipeline.motion.refocus import Regions, refocus
from pipeline.render.base import AudioPosePipeline
from pipeline.studio.accents_file import read_accents
from pipeline.studio.request import Request
from pipeline.values import Audio, Motion, Progress


@dataclass(frozen=True)
class Inputs:
    """The reference picture (H,W,3), cropped to the output's aspect, speech, and the output size (H,W)."""

    picture: np.ndarray
    audio: Audio
    size: tuple[int, int]


def load(request: Request, pipe: AudioPosePipeline) -> Inputs:
    """Reads the picture and the speech and fixes the output size."""
    pipe.conditioned(request.conditioning())  # refused now, not after the analysis
    picture = media.read_image(request.reference)
    size = pipe.frame_size(picture.shape[:2], request.height, request.width)
    audio = media.read_audio(request.audio)
    return Inputs(crop_around_person(picture, size, request.detector), audio, size)


def analyse(
    request: Request, pipe: AudioPosePipeline, inputs: Inputs
) -> Generator[Progress, None, Analysis]:
    """The slow part that does not depend on the slider; see `pipeline.analysis.analyse`."""
    person = retarget.parse_person(request.person) if request.person else None
    accents = (
        None if request.accent_rows is None else np.array(request.accent_rows, float).reshape(-1, 2)
    )
    if accents is None and request.accents:
        accents = read_accents(request.accents, inputs.audio)
    found = (
        yield from pipe.analyse(
            inputs.picture, inputs.audio, request.driving,
            fps=request.fps, detector=request.detector, box=request.fda, splice=request.splice,
            length=request.length,
            alignment=retarget.Alignment(request.retarget, request.framing, person),
            amplitude=request.mouth, seed=request.seed, accents=accents,
            audio_offset=request.audio_offset, gestures=request.gestures,
        )
    )  # fmt: skip
    expected = pipe.expectation(found.motion, inputs.size)
    return replace(found, warnings=(*found.warnings, expected)) if expected else found


def tune(request: Request, pipe: AudioPosePipeline, analysis: Analysis) -> Motion:
    """The analysed motion with the slider applied: the one call that preview and render share."""
    mode = request.refocus or pipe.refocus_mode
    regions = Regions(**{f.name: getattr(request, f"{f.name}_intensity") for f in fields(Regions)})
    return refocus(
        analysis.motion, request.intensity, size=request.gesture_size, mode=mode, regions=regions
    )


def generate(
    request: Request,
    pipe: AudioPosePipeline,
    inputs: Inputs,
    motion: Motion,
    path: str,
    render: Callable[..., Iterator[Progress]] | None = None,
) -> Iterator[Progress]:
    """Renders `motion` into the mp4 at `path`; a closed or broken run leaves the finished part with sound.

    `render` stands in for `pipe.render` where that has to run elsewhere, as on a ZeroGPU Space.
    """
    options = {
        "num_inference_steps": request.steps,
        "window": request.window,
        "overlap": request.overlap,
    }
    options = {name: value for name, value in options.items() if value is not None}
    options |= {"conditioning": given} if (given := request.conditioning()) else {}
    options |= {} if request.windows == Request.windows else {"schedule": request.windows}
    generator = torch.Generator().manual_seed(request.seed)
    height, width = inputs.size
    steps = (render or pipe.render)(
        inputs.picture, motion, height=height, width=width, generator=generator, **options
    )
    settings = replace(request, height=height, width=width).settings()
    with media.open_writer(
        path, motion.pose.fps, inputs.size, inputs.audio, settings, expected_frames=len(motion)
    ) as writer:
        try:
            for step in steps:
                if step.frames is not None:
                    writer.write(step.frames)
                yield step
        finally:
            steps.close()
