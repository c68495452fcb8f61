"""`generate`: render a video."""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from pipeline import media
from pipeline.render import load
from pipeline.render.runtime import cost
from pipeline.render.runtime.device import Placement
from pipeline.studio import steps
from pipeline.studio.cli.interrupts import INTERRUPTED
from pipeline.studio.cli.output_files import check_outputs
from pipeline.studio.cli.shared_steps import analyse, complain, facts, stage_meter, write_skeleton
from pipeline.studio.request import FLAGS, Machine, OutputFiles, Request
from pipeline.studio.resume_notes import Record, motion_identity, open_record


def main(args: argparse.Namespace) -> dict[str, Any]:
    """Render a video; return the facts that `--json` prints."""
    request = Request.of(vars(args))
    files = OutputFiles.of(vars(args))
    check_outputs(
        outputs=(files.output, files.skeleton, files.accents_out),
        videos=(files.output, files.skeleton),
        inputs=(request.reference, request.audio, request.driving, request.accents),
    )
    record = _open_record(request, files)
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
    record = record.joined(motion_identity(run.inputs.picture, motion, pipe.placed))
    frames_left = len(motion) - record.finished_frames
    estimate = cost.estimate(
        pipe,
        run.inputs.size,
        max(1, frames_left),
        steps=request.steps,
        window=request.window,
        overlap=request.overlap,
        window_mode=request.windows,
        conditioning=request.conditioning(),
    )
    complain(f"estimate: {estimate.sentence()}")
    writer = steps.open_output(run.request, run.inputs, motion, files.output, record)
    work = steps.render_into(writer, run.request, pipe.render, run.inputs, motion, record)
    try:
        with writer, contextlib.closing(work):
            meter.drain(work)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_interruption(writer)) from None
    return {
        **facts(files.output, run, pipe.placed, meter),
        "estimate": estimate.to_dict(),
        "resumed_frames": record.finished_frames,
    }


def _open_record(request: Request, files: OutputFiles) -> Record:
    """Return the record of the run; say what becomes of an earlier run's unfinished output."""
    is_resumed = files.resume == "on"
    record = open_record(request, files.output, is_resumed)
    part = media.unfinished_path(files.output)
    replaced = f"{part} is replaced as soon as frames are finished"
    if record.earlier is not None:
        complain(f"resume: {record.finished_frames} frames are finished; the run goes on from them")
    elif is_resumed and part.exists():
        complain(f"note: nothing is noted on how to go on; the run starts afresh, and {replaced}")
    elif is_resumed:
        complain(f"note: {files.output} has no unfinished part; the run starts afresh")
    elif part.exists():
        has_notes = media.notes_path(files.output).exists()
        hint = f"; {FLAGS['resume']} would go on with it" if has_notes else ""
        complain(f"note: {replaced}{hint}")
    return record


def _interruption(writer: media.ResumableWriter) -> str:
    """Say what an interruption leaves."""
    kept = writer.kept()
    if not kept:
        return f"{INTERRUPTED} before a frame was finished; nothing was written"
    if not writer.can_go_on:
        return f"{INTERRUPTED}; {kept}"
    return f"{INTERRUPTED}; {kept}; `resume` goes on from there"


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
