"""What `generate`, `preview`, `pose` and `models` do."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.studio.request import Machine, Request
from pipeline.values import InputError

if TYPE_CHECKING:
    from pipeline.analysis.analyse import Analysis
    from pipeline.analysis.progress import Meter
    from pipeline.analysis.talking_face import SpeechNetwork
    from pipeline.models.model_settings import ModelSettings
    from pipeline.render.runtime.device import Placement
    from pipeline.studio.steps import Inputs

log = logging.getLogger("pipeline")
INPUTS = ("reference", "audio", "driving", "input", "accents", "arms")


def generate(args: argparse.Namespace) -> dict:
    """Renders a video; returns the facts that --json prints."""
    from pipeline.render import load
    from pipeline.studio import steps

    check_outputs(args, "output", "skeleton", "accents_out")
    request = Request.of(vars(args))
    meter = stage_meter(args)
    pipe = load.load(args.model, how=placement(args), audio2pose=request.audio2pose)
    meter.lap("load model")
    pipe.check_conditioning(request.conditioning())  # refused now, not after the analysis
    run = analyse(args, request, pipe.settings, pipe.audio2pose, meter)
    motion = steps.tune(run.request, pipe.settings, run.analysis)
    if args.skeleton:
        keep_skeleton(motion, run.inputs, args.skeleton)
        meter.lap("skeleton video")
    expected = estimate(run.request, pipe, run.inputs, len(motion))
    print(f"estimate: {expected.sentence()}", file=sys.stderr)
    meter.drain(steps.generate(run.request, pipe.render, run.inputs, motion, args.output))
    return facts(args.output, run, pipe.placed, meter) | {"estimate": expected.to_dict()}


def estimate(request, pipe, inputs, frames: int):
    """Memory and time of the run to come, before it starts."""
    from pipeline.render.runtime import cost

    return cost.estimate(
        pipe, inputs.size, frames, steps=request.steps, window=request.window, overlap=request.overlap,
        window_mode=request.windows, conditioning=request.conditioning(),
    )  # fmt: skip


def preview(args: argparse.Namespace) -> dict:
    """Writes the skeleton video, and a draft, an overlay and a pose file when asked; loads no backbone."""
    from pipeline.render import load
    from pipeline.render.runtime.device import Placement, choose_device, expect_attention
    from pipeline.studio import outputs, steps

    check_outputs(args, "output", "draft", "overlay", "pose_out", "accents_out")
    request = Request.of(vars(args))
    meter = stage_meter(args)
    device = choose_device(args.device)
    attention = expect_attention(args.attention, device)
    placed = Placement(device, attention, dtype="float32", offload="none")
    settings = load.load_settings(args.model)
    network = load.load_speech_network(args.model, request.audio2pose, device)
    meter.lap("load model")
    run = analyse(args, request, settings, network, meter)
    motion = steps.tune(run.request, settings, run.analysis)
    keep_skeleton(motion, run.inputs, args.output)
    meter.lap("skeleton video")
    if args.pose_out:
        motion.pose.save(args.pose_out)
    if args.draft:
        meter.drain(outputs.write_draft(run.inputs, motion, args.draft))
    if args.overlay:
        meter.drain(outputs.write_overlay(run.inputs, motion, args.overlay))
    return facts(args.output, run, placed, meter)


def keep_skeleton(motion, inputs, path: str) -> None:
    """Writes the skeleton video and, beside it, the pose that `--driving` finds again."""
    from pipeline.media import pose_files

    note = pose_files.write_skeleton(motion.pose, path, inputs.size, audio=inputs.audio)
    if note:
        print(f"note: {note}", file=sys.stderr)


@dataclass(frozen=True)
class Analysed:
    """A request with its inputs and their analysis."""

    request: Request
    inputs: Inputs
    analysis: Analysis


def stage_meter(args: argparse.Namespace) -> Meter:
    """Make the meter of a run; it says what each stage does, but not beside JSON."""
    from pipeline.analysis.progress import Meter

    return Meter(None if args.json else lambda line: print(line, file=sys.stderr))


def analyse(
    args: argparse.Namespace,
    request: Request,
    settings: ModelSettings,
    network: SpeechNetwork,
    meter: Meter,
) -> Analysed:
    """Load the inputs and analyse them, saying warnings on stderr."""
    from pipeline.studio import accents_file, steps

    inputs = steps.load(request, settings)
    analysis = meter.drain(steps.analyse(request, settings, network, inputs))
    if request.accents:  # settings keep the accents themselves, too: the file may change
        request = replace(request, accent_rows=accents_file.accent_rows(analysis.prosody.accents))
    if args.accents_out:
        accents_file.write_accents(analysis.prosody, args.accents_out)
    for warning in analysis.warnings:
        print(f"note: {warning}", file=sys.stderr)
    return Analysed(request, inputs, analysis)


def placement(args: argparse.Namespace):
    """Where and how the networks of `generate` run."""
    from pipeline.render.runtime.device import Placement

    machine = Machine.of(vars(args))
    return Placement(
        machine.device,
        machine.attention,
        machine.dtype,
        machine.offload,
        machine.compile,
        machine.channels_last,
    )


def facts(output: str, run: Analysed, placed: Placement, meter: Meter) -> dict:
    """What --json prints about a run."""
    from pipeline.render.runtime.device import peak_memory

    request, inputs, analysis = run.request, run.inputs, run.analysis
    height, width = inputs.size
    frames, report = len(analysis.motion), analysis.report
    return {
        "output": output, "frames": frames, "fps": request.fps, "seconds": frames / request.fps,
        "audio_seconds": inputs.audio.seconds, "width": width, "height": height, "model": request.model,
        "device": placed.device, "attention": placed.attention, "dtype": placed.dtype,
        "offload": placed.offload, "seed": request.seed,
        "intensity": request.intensity, "timings": {k: round(v, 3) for k, v in meter.seconds.items()},
        "peak_memory": peak_memory(), "alignment": report.to_dict() if report else None,
        "warnings": list(analysis.warnings),
    }  # fmt: skip


def pose(args: argparse.Namespace) -> dict:
    """Writes the key points of the largest person in a picture, clip or pose file, after edits."""
    from pipeline.studio import pose_tool

    check_outputs(args, "output")
    edits = pose_tool.Edits(
        pose_tool.span(args.trim), args.speed, args.mirror, args.arms, args.loop, args.pingpong
    )
    done = pose_tool.convert(args.input, args.output, edits, args.fps, args.detector, args.style)
    for warning in done["warnings"]:
        print(f"note: {warning}", file=sys.stderr)
    return done


def models(args: argparse.Namespace) -> dict:
    """Prints the table of model sets, after a download where one was asked for."""
    from pipeline.models import registry

    if args.download is not None:
        fetch(args.download, args.repository)
    rows = [row.to_dict() for row in registry.SETS]
    if not args.json:
        for row in rows:
            size = "size unknown" if row["megabytes"] is None else f"{row['megabytes']:.0f} MB"
            state = "installed" if row["installed"] else "not installed"
            gated = "gated" if row["gated"] else "open"
            print(
                f"{row['name']:16} {size:>12}, {state:13}  {row['licence']} ({gated})  {row['where']}"
            )
            print(f"{'':16} {row['what']}")
    return {"models": rows}


def fetch(name: str, repository: str | None) -> None:
    """Downloads what a model set lacks, saying each file and each tenth of it on stderr."""
    from pipeline.models import download

    said = None
    for step in download.download(name, repository):
        share = 100 if step.path else step.done * 100 // step.total if step.total else 0
        if (step.file, share // 10) != said:
            said = step.file, share // 10
            print(f"{step.file}: {step.done / 1e6:.0f} MB, {share} %", file=sys.stderr)


def check_outputs(args: argparse.Namespace, *names: str) -> None:
    """ValueError before hours of work, not after: each output can be written, over nothing that is needed."""
    from pipeline import media
    from pipeline.media import pose_files

    inputs = {Path(getattr(args, name)).resolve() for name in INPUTS if getattr(args, name, None)}
    taken = set(inputs)
    for path in filter(None, (getattr(args, name) for name in names)):
        place = Path(path).resolve()
        if place in taken:
            raise InputError(
                f"{path} is named twice, or is one of the inputs; give each output its own name"
            )
        taken.add(place)
        if not place.parent.is_dir():
            raise InputError(
                f"{path} cannot be written: the folder {place.parent} does not exist; make it"
            )
        if place.with_suffix(".npz") in inputs and pose_files.is_pose(place):
            raise InputError(f"{path} would put its pose over an input; give it another name")
        takes_folder = media.names_folder(path) or (args.command == "pose" and not place.suffix)
        folder = place.is_dir() and not takes_folder
        if folder or not os.access(place.parent, os.W_OK):
            raise InputError(
                f"{path} cannot be written: it is a folder, or its folder is read-only"
            )
