"""`preview`: the skeleton, and a draft, without the denoiser."""

from __future__ import annotations

import argparse
from typing import Any

from pipeline.render import load
from pipeline.render.runtime.device import Placement, choose_device, expect_attention
from pipeline.studio import outputs, steps
from pipeline.studio.cli.output_files import check_outputs
from pipeline.studio.cli.shared_steps import analyse, facts, stage_meter, write_skeleton
from pipeline.studio.request import Machine, OutputFiles, Request


def main(args: argparse.Namespace) -> dict[str, Any]:
    """Write the skeleton video, and a draft, an overlay and a pose file when asked.

    No backbone is loaded.
    """
    request = Request.of(vars(args))
    files = OutputFiles.of(vars(args))
    check_outputs(
        outputs=(files.output, files.draft, files.overlay, files.pose_out, files.accents_out),
        videos=(files.output, files.draft, files.overlay),
        inputs=(request.reference, request.audio, request.driving, request.accents),
    )
    meter = stage_meter(args.json)
    machine = Machine.of(vars(args))
    device = choose_device(machine.device)
    attention = expect_attention(machine.attention, device)
    placed = Placement(device, attention, dtype="float32", offload="none")
    settings = load.load_settings(request.model)
    network = load.load_speech_network(request.model, request.audio2pose, device)
    meter.lap("load model")
    run = analyse(request, files, settings, network, meter)
    motion = steps.tune(run.request, settings, run.analysis)
    write_skeleton(motion, run.inputs, files.output)
    meter.lap("skeleton video")
    if files.pose_out:
        motion.pose.save(files.pose_out)
    if files.draft:
        meter.drain(outputs.write_draft(run.inputs, motion, files.draft))
    if files.overlay:
        meter.drain(outputs.write_overlay(run.inputs, motion, files.overlay))
    return facts(files.output, run, placed, meter)
