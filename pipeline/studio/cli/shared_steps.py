"""What `generate` and `preview` share: inputs, analysis, skeleton video, facts for `--json`."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from pipeline.analysis.progress import Meter
from pipeline.analysis.talking_face import SpeechNetwork
from pipeline.media import pose_files
from pipeline.models.model_settings import ModelSettings
from pipeline.render.runtime.device import Placement, peak_memory
from pipeline.studio import accents_file, steps
from pipeline.studio.messages import name_options
from pipeline.studio.request import FLAGS, OutputFiles, Request
from pipeline.studio.steps import AnalysedInputs, Inputs
from pipeline.values import Motion


def stage_meter(is_json: bool) -> Meter:
    """Return the meter of a run; it says what each stage does, but not beside JSON."""
    return Meter(None if is_json else complain)


def analyse(
    request: Request,
    files: OutputFiles,
    settings: ModelSettings,
    network: SpeechNetwork,
    meter: Meter,
) -> AnalysedInputs:
    """Load the inputs and analyse them; print the warnings, write the accents where asked."""
    inputs = steps.load(request, settings)
    work = steps.analyse(request, settings, network, inputs)
    analysis = meter.drain(work)
    if request.accents:  # settings keep the accents themselves, too: the file may change
        rows = accents_file.accent_rows(analysis.prosody.accents)
        request = replace(request, accent_rows=rows)
    if files.accents_out:
        accents_file.write_accents(analysis.prosody, files.accents_out)
    warnings = tuple(name_options(warning, FLAGS) for warning in analysis.warnings)
    for warning in warnings:
        complain(f"note: {warning}")
    analysis = replace(analysis, warnings=warnings)
    return AnalysedInputs(request, inputs, analysis)


def write_skeleton(motion: Motion, inputs: Inputs, path: str) -> None:
    """Write the skeleton video and, beside it, the pose that `--driving` finds again."""
    note = pose_files.write_skeleton(motion.pose, path, inputs.size, audio=inputs.heard)
    if note:
        complain(f"note: {note}")


def facts(output: str, run: AnalysedInputs, placed: Placement, meter: Meter) -> dict[str, Any]:
    """Return what `--json` prints about a run."""
    request, analysis = run.request, run.analysis
    height, width = run.inputs.size
    frames = len(analysis.motion)
    alignment = None if analysis.report is None else analysis.report.to_dict()
    timings = {stage: round(seconds, 3) for stage, seconds in meter.seconds.items()}
    return {
        "output": output,
        "frames": frames,
        "fps": request.fps,
        "seconds": frames / request.fps,
        "audio_seconds": run.inputs.audio.seconds,
        "width": width,
        "height": height,
        "model": request.model,
        "device": placed.device,
        "attention": placed.attention,
        "dtype": placed.dtype,
        "offload": placed.offload,
        "seed": request.seed,
        "intensity": request.intensity,
        "timings": timings,
        "peak_memory": peak_memory(),
        "alignment": alignment,
        "warnings": list(analysis.warnings),
    }


def complain(sentence: str) -> None:
    """Print a sentence on stderr."""
    print(sentence, file=sys.stderr)
