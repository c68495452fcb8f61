"""`generate`: render a video."""

from __future__ import annotations

import argparse
from typing import Any

from pipeline.render import load
from pipeline.render.runtime import cost
from pipeline.render.runtime.device import Placement
from pipeline.studio import steps
from pipeline.studio.cli.output_files import check_outputs
from pipeline.studio.cli.shared_steps import analyse, complain, facts, stage_meter, write_skeleton
from pipeline.studio.request import Machine, OutputFiles, Request


def main(args: argparse.Namespace) -> dict[str, Any]:
    """Render a video; return the facts that `--json` prints."""
    request = Request.of(vars(args))
    files = OutputFiles.of(vars(args))
    check_outputs(
        outputs=(files.output, files.skeleton, files.accents_out),
        videos=(files.output, files.skeleton),
        inputs=(request.reference, request.audio, request.driving, request.accents),
    )
    meter = stage_meter(args.json)
    placement = _placement(Machine.of(vars(args)))
    pipe = load.load(request.model, how=placement, audio2pose=request.audio2pose)
    meter.lap("load model")
    pipe.check_conditioning(request.conditioning())  # refused now, not after the analysis
    run = analyse(request, files, pipe.settings, pipe.audio2pose, meter)
    motion = steps.tune(run.request, pipe.settings, run.analysis)
    if files.skeleton:
        write_skeleton(motion, run.inputs, files.skeleton)
        meter.lap("skeleton video")
    estimate = cost.estimate(
        pipe,
        run.inputs.size,
        len(motion),
        steps=request.steps,
        window=request.window,
        overlap=request.overlap,
        window_mode=request.windows,
        conditioning=request.conditioning(),
    )
    complain(f"estimate: {estimate.sentence()}")
    work = steps.generate(run.request, pipe.render, run.inputs, motion, files.output)
    meter.drain(work)
    return {**facts(files.output, run, pipe.placed, meter), "estimate": estimate.to_dict()}


def _placement(machine: Machine) -> Placement:
    """Return where and how the networks run."""
    return Placement(
        device=machine.device,
        attention=machine.attention,
        dtype=machine.dtype,
        offload=machine.offload,
        compiling=machine.compile,
        layout=machine.channels_last,
    )
