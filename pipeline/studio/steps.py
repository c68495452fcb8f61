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
from pipeline.analysis.analyse import Analysis, AnalysisOptions
from pipeline.analysis.analyse import analyse as analyse_inputs
from pipeline.analysis.driving import Driving, open_driving
from pipeline.analysis.expectations import expectation
from pipeline.analysis.framing import crop_around_person, output_size
from pipeline.analysis.talking_face import SpeechNetwork
from pipeline.models.model_settings import ModelSettings
from pipeline.motion import retarget
from pipeline.motion.refocus import Regions, refocus
from pipeline.studio.accents_file import read_accents
from pipeline.studio.request import Request
from pipeline.values import Audio, Motion, Progress


@dataclass(frozen=True)
class Inputs:
    """What a run reads: picture (H,W,3), cropped to the output's aspect, speech, output (H,W), what drives."""

    picture: np.ndarray
    audio: Audio
    size: tuple[int, int]
    driving: Driving | None = None


def load(request: Request, settings: ModelSettings) -> Inputs:
    """Read the picture, the speech and what drives; fix the output size."""
    settings.check_conditioning(request.conditioning())  # refused now, not after the analysis
    picture = media.read_image(request.reference)
    size = output_size(
        picture.shape[:2], settings.area, settings.multiple, request.height, request.width
    )
    audio = media.read_audio(request.audio)
    driving = None if request.driving is None else open_driving(request.driving)
    cropped = crop_around_person(picture, size, request.detector)
    return Inputs(cropped, audio, size, driving)


def analyse(
    request: Request, settings: ModelSettings, network: SpeechNetwork, inputs: Inputs
) -> Generator[Progress, None, Analysis]:
    """Run the slow part, which does not depend on the slider; see `pipeline.analysis.analyse`."""
    person = retarget.parse_person(request.person) if request.person else None
    accents = (
        None if request.accent_rows is None else np.array(request.accent_rows, float).reshape(-1, 2)
    )
    if accents is None and request.accents:
        accents = read_accents(request.accents, inputs.audio)
    options = AnalysisOptions(
        fps=request.fps,
        detector=request.detector,
        box=request.fda,
        splice=request.splice or settings.splice_region,
        length=request.length,
        alignment=retarget.Alignment(request.retarget, request.framing, person),
        amplitude=request.mouth,
        seed=request.seed,
        accents=accents,
        audio_offset=request.audio_offset,
        gestures=request.gestures,
    )
    work = analyse_inputs(network, inputs.picture, inputs.audio, inputs.driving, options)
    analysis = yield from work
    sentence = expectation(settings.condition, analysis.motion, inputs.size)
    if sentence is None:
        return analysis
    return replace(analysis, warnings=(*analysis.warnings, sentence))


def tune(request: Request, settings: ModelSettings, analysis: Analysis) -> Motion:
    """Apply the slider to the analysed motion: the one call that preview and render share."""
    mode = request.refocus or settings.refocus_mode
    regions = Regions(**{f.name: getattr(request, f"{f.name}_intensity") for f in fields(Regions)})
    return refocus(
        analysis.motion, request.intensity, size=request.gesture_size, mode=mode, regions=regions
    )


def generate(
    request: Request,
    render: Callable[..., Generator[Progress, None, None]],
    inputs: Inputs,
    motion: Motion,
    path: str,
) -> Iterator[Progress]:
    """Render `motion` into the mp4 at `path`; a closed or broken run leaves the finished part with sound.

    render: `AudioPosePipeline.render` of a pipeline, or what calls it elsewhere, as on a ZeroGPU Space.
    """
    options = {
        "num_inference_steps": request.steps,
        "window": request.window,
        "overlap": request.overlap,
    }
    options = {name: value for name, value in options.items() if value is not None}
    options |= {"conditioning": given} if (given := request.conditioning()) else {}
    options |= {} if request.windows == Request.windows else {"window_mode": request.windows}
    generator = torch.Generator().manual_seed(request.seed)
    height, width = inputs.size
    steps = render(
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
