"""What the app does on a click: each handler takes a visitor's `Visit` and yields what the page shows.

Nothing mutable is shared between visitors: what belongs to one lives in its `Visit`. Models stay loaded and
hold no state of a call. Bad input raises ValueError, KEEP leaves a part of the page as it is.
"""

from __future__ import annotations

import functools
import logging
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline import media
from pipeline.analysis.analyse import Analysis
from pipeline.analysis.progress import Work, finish
from pipeline.render import draft
from pipeline.studio import accents_file, charts, outputs, steps
from pipeline.studio import request as request_module
from pipeline.studio.app import controls
from pipeline.studio.app.session import Again, Made, Rows, Visit
from pipeline.studio.app.status import bar, line
from pipeline.studio.app.zerogpu import model, model_name, model_settings, render, speech_network
from pipeline.values import InputError, Motion

log = logging.getLogger(__name__)

ACCENT_HINT = (
    "Double-click a cell to change it; the last row is free; empty both cells to delete. At once."
)
NO_NOTES = "✓ No warnings: the skeleton fits the reference image."
PREVIEW_EVERY = 0.5  # seconds between pictures sent to the browser while frames arrive
KEEP = object()  # yielded for a part of the page that stays as it is


def analyse(visit, image, audio, video, pose, *knobs) -> Iterator:
    """Step 1; yields visit, status, picture of the speech, warnings, table of the accents."""
    for value, name in ((image, "reference image"), (audio, "speech")):
        if not value:
            raise InputError(f"there is no {name} yet; add one on the left or click an example")
    if video and pose:
        raise InputError("there are a driving video and a pose file; remove one of them")
    chosen = controls.read("analyse", knobs)
    request = request_module.Request(image, audio, video or pose, model=model_name(), **chosen)
    settings = model_settings(request.model)
    network = speech_network(request.model)
    start = time.perf_counter()
    inputs, heard, note = steps.load(request, settings), media.content_hash(audio), ""
    rows = visit.accents if visit.speech in ("", heard) else None
    if rows and max(rows)[0] > inputs.audio.seconds:
        rows, note = (
            None,
            "The accents of the loaded settings reach beyond this speech and are left out.",
        )
    request = replace(request, accent_rows=rows)
    work = Work(steps.analyse(request, settings, network, inputs))
    began, stage = start, None
    for step in work:
        if step.stage != stage:
            began, stage = time.perf_counter(), step.stage
        yield KEEP, bar(step, began), KEEP, KEEP, KEEP
    analysis = work.result
    yield KEEP, line("<b>Preparing the draft</b>"), KEEP, KEEP, KEEP
    part, motion = outputs.excerpt(inputs, analysis.motion)
    draft.layers(part.picture, motion, part.size)  # kept: the slider's drafts find them
    folder = visit.folder or tempfile.mkdtemp(prefix="apv", dir=visit.home)
    fresh = replace(
        visit, request=request, inputs=inputs, analysis=analysis, accents=rows, speech=heard
    )
    notes = "  \n".join(
        f"⚠ {sentence}" for sentence in (*analysis.warnings, *([note] if note else []))
    )
    took = time.perf_counter() - start
    text = f"<b>Analysed</b> {len(analysis.motion)} frames in {took:.1f} s. Drag the slider."
    fresh = replace(fresh, folder=folder, typed=None)
    yield fresh, line(text), speech_picture(fresh), notes or NO_NOTES, accent_table(analysis)


def speech_picture(visit: Visit) -> np.ndarray:
    """Waveform, intensity and accents."""
    return charts.waveform(visit.inputs.audio, visit.analysis.prosody)


def accent_table(analysis: Analysis) -> list[list[float | None]]:
    """Seconds and strength of the accents, and a free row to add one."""
    return [*map(list, accents_file.accent_rows(analysis.prosody.accents)), [None, None]]


def typed(visit, table: list[list[Any]]) -> Iterator:
    """Yields the visit with the table; raises Again for a repeated one: Gradio tells every edit twice."""
    if table == visit.typed:
        raise Again
    yield replace(visit, typed=table)


def accents(visit, table: list[list[Any]]) -> Iterator:
    """The accents as the visitor wants them; yields visit, status, picture of the speech, table, hint.

    The table is sent back only to put rows in order or to free a new last one: the visitor may be typing.
    """
    analysed(visit)
    rows, waiting = accent_rows(table)
    fresh, text = with_accents(visit, rows)
    wanted = accent_table(fresh.analysis)
    neat = table and rows == tuple(map(tuple, wanted[:-1])) and not _filled(table[-1])
    yield (
        fresh,
        text,
        speech_picture(fresh),
        KEEP if neat or waiting else wanted,
        waiting or ACCENT_HINT,
    )


def detected(visit) -> Iterator:
    """Back to the detected accents; yields as `accents` does."""
    analysed(visit)
    fresh, text = with_accents(replace(visit, typed=None), None)
    yield fresh, text, speech_picture(fresh), accent_table(fresh.analysis), ACCENT_HINT


def with_accents(visit: Visit, rows: Rows | None) -> tuple[Visit, str]:
    """The visit and the status after a change of the accents.

    Nothing is detected again, but nods, brows and generated gestures follow, as with --accents.
    """
    start = time.perf_counter()
    request = replace(visit.request, accent_rows=rows)
    settings = model_settings(request.model)
    network = speech_network(request.model)
    analysis = finish(steps.analyse(request, settings, network, visit.inputs))
    if rows is not None:
        rows = accents_file.accent_rows(
            analysis.prosody.accents
        )  # in order of time, without those of strength 0
    request = replace(request, accent_rows=rows)
    fresh = replace(visit, request=request, analysis=analysis, accents=rows)
    took = time.perf_counter() - start
    what = f"{len(analysis.prosody.accents)} accents" + ("" if rows is not None else " as detected")
    return fresh, line(f"<b>{what}</b> in {took:.2f} s; intensity, skeleton and draft follow.")


def accent_rows(table: list[list[Any]]) -> tuple[Rows, str]:
    """The full rows of the table, and a word on a row that lacks a cell; ValueError for what is no number."""
    rows, waiting = [], ""
    for number, row in enumerate(table, 1):
        try:
            cells = tuple(float(cell) for cell in _filled(row))
        except (TypeError, ValueError):
            raise InputError(
                f"row {number} of the accents holds {row}; give a time in seconds and a strength from 0 to 1"
            ) from None
        if len(cells) == 2:
            rows.append(cells)
        elif cells:
            waiting = (
                f"⚠ Row {number} lacks a cell and does not count yet; empty both to delete it."
            )
    return tuple(rows), waiting


def _filled(row: list[Any]) -> list[Any]:
    """The cells that hold something; an empty one is None, "" or NaN."""
    return [cell for cell in row[:2] if not (cell is None or cell == "" or cell != cell)]


def people(visit) -> Iterator:
    """Yields the driving frame with its numbered people, or None where there is no choice."""
    found = analysed(visit)
    several = len(found.people) > 1
    yield (
        outputs.people_picture(visit.inputs, found.people, found.report.chosen) if several else None
    )


def person_at(visit, x: float, y: float) -> str:
    """The number of the person at a point of that picture, in fractions of it."""
    return str(outputs.person_at(analysed(visit).people, (x, y)))


def analysed(visit: Visit) -> Analysis:
    """The visitor's analysis, or the sentence that says what to press."""
    if visit.analysis is None:
        raise InputError("nothing is analysed yet; press 1 Analyse first")
    return visit.analysis


def tuned(visit: Visit, *knobs: Any) -> tuple[request_module.Request, Motion]:
    """The request with the slider's values and the motion that both the preview and the render use."""
    analysis = analysed(visit)
    request = replace(visit.request, **controls.read("tune", knobs))
    return request, steps.tune(request, model_settings(request.model), analysis)


def tune(visit, *knobs) -> Iterator:
    """Step 2; yields status, skeleton video, overlay."""
    start = time.perf_counter()
    request, motion = tuned(visit, *knobs)
    inputs, path = visit.inputs, visit.file("skeleton")
    outputs.write_skeleton(motion, inputs.audio, inputs.size, path)
    strongest = int(np.argmax(motion.intensity))
    over = charts.overlay(inputs.picture, motion.pose, strongest, inputs.size)
    took = time.perf_counter() - start
    text = (
        f"<b>Intensity {request.intensity:g}</b>: skeleton of {len(motion)} frames in {took:.2f} s."
    )
    yield line(text), path, over


def excerpt(visit, *knobs) -> Iterator:
    """The draft: yields a video of the strongest frame at once, then one of the two seconds around it."""
    _, motion = tuned(visit, *knobs)
    for seconds in (1 / motion.pose.fps, 2.0):
        path = visit.file("draft")
        for _ in outputs.write_draft(*outputs.excerpt(visit.inputs, motion, seconds), path):
            pass
        yield path


def overlay(visit, *knobs) -> Iterator:
    """Yields the video of the aligned skeleton over the reference image."""
    _, motion = tuned(visit, *knobs)
    path = visit.file("overlay")
    for _ in outputs.write_overlay(visit.inputs, motion, path):
        pass
    yield path


def pose(visit, *knobs) -> Iterator:
    """Yields the file of the pose that is drawn."""
    _, motion = tuned(visit, *knobs)
    path = visit.file("pose", "npz")
    motion.pose.save(path)
    yield path


def generate(visit, last, *knobs) -> Iterator:
    """Step 3; yields what was made (`last` is what was before), status, the newest frame, result video."""
    tuning = len(controls.names("tune"))
    request, motion = tuned(visit, *knobs[:tuning])
    request = replace(request, **controls.read("generate", knobs[tuning:]))
    path = visit.file("apv_studio")
    visit.stop.clear()
    yield KEEP, line("<b>Loading the model</b>", 0), None, KEEP
    pipe = model(request.model)
    work = steps.generate(
        request, functools.partial(render, request.model), visit.inputs, motion, path
    )
    began, sent, done = time.perf_counter(), 0.0, 0
    started = f"<b>Started</b>: {len(motion)} frames on {pipe.placed.device}; the first ones take longest."
    yield KEEP, line(started, 0), None, KEEP
    try:
        for step in work:
            picture = step.preview if step.frames is None else step.frames[-1]
            done += 0 if step.frames is None else len(step.frames)
            now = time.perf_counter()
            if now - sent > PREVIEW_EVERY:
                sent = now
                yield KEEP, bar(step, began), KEEP if picture is None else picture, KEEP
            if visit.stop.is_set():
                break
    finally:
        work.close()
    took = time.perf_counter() - began
    if not done:
        text = "<b>Cancelled</b> before a frame was finished; the last result is kept."
        yield KEEP, line(text), None, last and last.path
        return
    word = "Done" if done == len(motion) else "Cancelled, the finished part is kept"
    text = f"<b>{word}</b>: {done} of {len(motion)} frames in {took:.1f} s on {pipe.placed.device}"
    made = Made(visit, request, motion, path)
    yield made, line(f"{text}, attention {pipe.attention_backend}."), None, path


def compare(made) -> Iterator:
    """Yields the side-by-side video of the last result."""
    if made is None:
        raise InputError("there is no result yet; press 3 Generate first")
    path = made.visit.file("side_by_side")
    for _ in outputs.write_comparison(
        made.request, made.visit.inputs, made.motion, made.path, path
    ):
        pass
    yield path


def cancel(visit: Visit) -> str:
    """Stops after the frames in work."""
    visit.stop.set()
    return line("<b>Cancelling</b> after the frames in work; finished frames are kept.")


def changed(visit: Visit, *files: str | None) -> Iterator:
    """Yields a word that steps 2 and 3 still use the inputs of the last analysis, and the person who drives.

    Nobody is chosen yet in another driving clip.
    """
    text = "<b>Inputs changed</b>: press 1 Analyse; until then steps 2 and 3 use the inputs before."
    request = visit.request
    if request is None:
        yield KEEP, KEEP
        return
    used, given = {request.reference, request.audio, request.driving}, set(files)
    same = used - {None, ""} == given - {None, ""}
    yield KEEP if same else line(text), KEEP if request.driving in (None, *files) else ""


def load_settings(visit: Visit, video: str | None) -> Iterator:
    """Yields visit, status, and the sliders and choices of a video that APV Studio wrote."""
    found = media.read_settings(video) if video else None
    if not found or "apv_studio" not in found:
        raise InputError("this video holds no settings of APV Studio; choose an mp4 that it wrote")
    request = request_module.Request.of({**found, "reference": "", "audio": ""})
    rows = request.accent_rows
    extra = "" if rows is None else f" and {len(rows)} accents"
    text = line(f"<b>Settings{extra} loaded</b>; choose the inputs and press 1 Analyse.")
    yield replace(visit, accents=rows, speech=""), text, *controls.shown(request).values()
