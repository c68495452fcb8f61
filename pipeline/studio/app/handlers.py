"""What the app does on a click, without gradio.

Each handler reads parts of the page by name and yields new values of parts by name. Nothing mutable
is shared between visitors: what belongs to one visitor lives in a `Visit`. Models stay loaded and
hold no state of a call.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import media
from pipeline.analysis.progress import Work
from pipeline.render import draft
from pipeline.studio import charts, outputs, steps
from pipeline.studio.app import controls
from pipeline.studio.app.accent_table import table_of
from pipeline.studio.app.page_updates import Update, handler
from pipeline.studio.app.session import AccentRows, FinishedVideo, Visit
from pipeline.studio.app.status import bar, line
from pipeline.studio.app.zerogpu import model, model_name, model_settings, render, speech_network
from pipeline.studio.messages import name_options
from pipeline.studio.request import LABELS, Request
from pipeline.studio.steps import AnalysedInputs, Inputs
from pipeline.values import InputError, Motion, Progress

NO_WARNINGS = "✓ No warnings: the skeleton fits the reference image."
ACCENTS_LEFT_OUT = "The accents of the loaded settings reach beyond this speech and are left out."
PREVIEW_INTERVAL_SECONDS = 0.5  # between pictures sent to the browser while frames arrive
DRAFT_SECONDS = 2.0

UploadedFile = str | None  # its path


# ---- 1 analyse


@handler("visit", "status", "wave", "notes", "accents", stages=("analyse",))
def analyse(
    visit: Visit,
    image: UploadedFile,
    audio: UploadedFile,
    video: UploadedFile,
    pose: UploadedFile,
    **shown: Any,
) -> Iterator[Update]:
    """Analyse the inputs: show the speech, the warnings and the accents."""
    if not image:
        raise InputError("there is no reference image yet; add one on the left or click an example")
    if not audio:
        raise InputError("there is no speech yet; add one on the left or click an example")
    if video and pose:
        raise InputError("there are a driving video and a pose file; remove one of them")
    choices = controls.read("analyse", shown)
    request = Request(image, audio, video or pose, model=model_name(), **choices)
    settings = model_settings(request.model)
    network = speech_network(request.model)
    start = time.perf_counter()
    inputs = steps.load(request, settings)
    speech_hash = media.content_hash(audio)
    accents, warnings = _accents_to_use(visit, speech_hash, inputs)
    request = replace(request, accent_rows=accents)
    work = Work(steps.analyse(request, settings, network, inputs))
    for status in _stage_bars(work, start):
        yield {"status": status}
    analysis = work.result
    yield {"status": line("<b>Preparing the draft</b>")}
    part, _ = outputs.excerpt(inputs, analysis.motion)
    draft.layers(
        part.picture, analysis.motion, part.size
    )  # they stay cached for the slider's drafts
    sentences = [f"⚠ {sentence}" for sentence in (*analysis.warnings, *warnings)]
    seconds = time.perf_counter() - start
    text = f"<b>Analysed</b> {len(analysis.motion)} frames in {seconds:.1f} s. Drag the slider."
    new_visit = replace(
        visit,
        analysed=AnalysedInputs(request, inputs, analysis),
        accents=accents,
        speech_hash=speech_hash,
        last_table=None,
        folder=visit.folder or tempfile.mkdtemp(prefix="apv", dir=visit.home),
    )
    yield {
        "visit": new_visit,
        "status": line(text),
        "wave": charts.waveform(inputs.audio, analysis.prosody),
        "notes": "  \n".join(sentences) or NO_WARNINGS,
        "accents": table_of(analysis.prosody),
    }


def _accents_to_use(
    visit: Visit, speech_hash: str, inputs: Inputs
) -> tuple[AccentRows | None, tuple[str, ...]]:
    """Return the visitor's accents where they belong to this speech, and warnings about them."""
    if visit.speech_hash not in ("", speech_hash):
        return None, ()
    accents = visit.accents
    if accents:
        last_seconds, _ = max(accents)
        if last_seconds > inputs.audio.seconds:
            return None, (ACCENTS_LEFT_OUT,)
    return accents, ()


def _stage_bars(work: Work[Progress, Any], start: float) -> Iterator[str]:
    """Run the work; yield the status of each step, with the time since its stage began."""
    stage = None
    for step in work:
        if step.stage != stage:
            start = time.perf_counter()
            stage = step.stage
        yield bar(step, start)


@handler("people")
def people(visit: Visit) -> Iterator[Update]:
    """Show the driving frame with its numbered people, or nothing where there is no choice."""
    analysed = visit.need_analysis()
    found_people = analysed.analysis.people
    if len(found_people) < 2:
        yield {"people": None}
        return
    report = analysed.analysis.report
    chosen = 0 if report is None else report.chosen
    yield {"people": outputs.people_picture(analysed.inputs, found_people, chosen)}


def person_at(visit: Visit, x: float, y: float) -> str:
    """Return the number of the person at a point of that picture, in fractions of it."""
    found_people = visit.need_analysis().analysis.people
    return str(outputs.person_at(found_people, (x, y)))


@handler("speakers")
def speakers(visit: Visit) -> Iterator[Update]:
    """Show the reference image with its numbered people, or nothing where there is one alone."""
    request = visit.need_analysis().request
    picture = outputs.speakers_picture(request.reference, request.detector, request.speaker)
    yield {"speakers": picture}


@handler("status")
def with_analysis_of(visit: Visit, image: UploadedFile) -> Iterator[Update]:
    """Go on where this reference image is analysed already."""
    if visit.analysed is not None and visit.analysed.request.reference == image:
        yield {}


@handler("status", "person", "speaker")
def changed(
    visit: Visit, image: UploadedFile, audio: UploadedFile, video: UploadedFile, pose: UploadedFile
) -> Iterator[Update]:
    """Say that steps 2 and 3 still use the inputs of the last analysis.

    Nobody is chosen yet in another driving clip or another reference image.
    """
    if visit.analysed is None:
        yield {}
        return
    request = visit.analysed.request
    files = {image, audio, video, pose} - {None, ""}
    analysed_files = {request.reference, request.audio, request.driving} - {None, ""}
    update: dict[str, Any] = {}
    if files != analysed_files:
        update["status"] = line(
            "<b>Inputs changed</b>: press 1 Analyse; "
            "until then steps 2 and 3 use the inputs before."
        )
    if request.driving is not None and request.driving not in files:
        update["person"] = ""
    if request.reference not in files:
        update["speaker"] = ""
    yield update


# ---- 2 tune


def tuned(visit: Visit, shown: Mapping[str, Any]) -> tuple[Request, Motion]:
    """Return the request with the slider's values, and the motion for both preview and render."""
    analysed = visit.need_analysis()
    choices = controls.read("tune", shown)
    request = replace(analysed.request, **choices)
    return request, steps.tune(request, model_settings(request.model), analysed.analysis)


@handler("status", "skeleton", "over", stages=("tune",))
def tune(visit: Visit, **shown: Any) -> Iterator[Update]:
    """Show the skeleton video and one frame of it over the reference image."""
    start = time.perf_counter()
    request, motion = tuned(visit, shown)
    inputs = visit.need_analysis().inputs
    path = visit.new_file("skeleton")
    outputs.write_skeleton(motion, inputs.heard, inputs.size, path)
    strongest = int(np.argmax(motion.intensity))
    picture = charts.overlay(inputs.picture, motion.pose, strongest, inputs.size)
    seconds = time.perf_counter() - start
    text = (
        f"<b>Intensity {request.intensity:g}</b>: "
        f"skeleton of {len(motion)} frames in {seconds:.2f} s."
    )
    yield {"status": line(text + _caveats(request)), "skeleton": path, "over": picture}


@handler("draft", stages=("tune",))
def excerpt(visit: Visit, **shown: Any) -> Iterator[Update]:
    """Show a draft of the strongest frame at once, then one of the seconds around it."""
    _, motion = tuned(visit, shown)
    inputs = visit.need_analysis().inputs
    for seconds in (1 / motion.pose.fps, DRAFT_SECONDS):
        path = visit.new_file("draft")
        part, rows = outputs.excerpt(inputs, motion, seconds)
        _drain(outputs.write_draft(part, motion, path, rows))
        yield {"draft": path}


@handler("clip", stages=("tune",))
def overlay(visit: Visit, **shown: Any) -> Iterator[Update]:
    """Show the video of the aligned skeleton over the reference image."""
    _, motion = tuned(visit, shown)
    path = visit.new_file("overlay")
    _drain(outputs.write_overlay(visit.need_analysis().inputs, motion, path))
    yield {"clip": path}


@handler("drawn", stages=("tune",))
def pose(visit: Visit, **shown: Any) -> Iterator[Update]:
    """Offer the file of the pose that is drawn."""
    _, motion = tuned(visit, shown)
    path = visit.new_file("pose", "npz")
    motion.pose.save(path)
    yield {"drawn": path}


def _caveats(request: Request) -> str:
    """Say which of the choices shows nothing with these weights."""
    settings = model_settings(request.model)
    sentences = settings.caveats(request.refocus, request.pose_free)
    named = [f" ⚠ {name_options(sentence, LABELS)}." for sentence in sentences]
    return "".join(named)


def _drain(work: Iterator[Progress]) -> None:
    """Run the work to its end."""
    for _ in work:
        pass


# ---- 3 generate


@handler("finished", "status", "preview", "result", stages=("tune", "generate"))
def generate(visit: Visit, finished: FinishedVideo | None, **shown: Any) -> Iterator[Update]:
    """Render the video; keep `finished`, the result before, where no frame gets finished."""
    request, motion = tuned(visit, shown)
    request = replace(request, **controls.read("generate", shown))
    inputs = visit.need_analysis().inputs
    path = visit.new_file("apv_studio")
    visit.stop.clear()
    yield {"status": line("<b>Loading the model</b>", 0), "preview": None}
    pipe = model(request.model)
    device = pipe.placed.device
    start = time.perf_counter()
    text = f"<b>Started</b>: {len(motion)} frames on {device}; the first ones take longest."
    yield {"status": line(text, 0), "preview": None}
    frames = 0
    last_sent = 0.0
    renderer = functools.partial(render, request.model)
    work = steps.generate(request, renderer, inputs, motion, path)
    result = FinishedVideo(visit, request, inputs, motion, path)
    try:
        for step in work:
            if step.frames is not None:
                frames += len(step.frames)
            now = time.perf_counter()
            if now - last_sent > PREVIEW_INTERVAL_SECONDS:
                last_sent = now
                yield _progress(step, start)
            if visit.stop.is_set():
                break
    except Exception:
        if Path(path).exists():  # the finished part, which can be downloaded
            yield _finished(result, "Broken off, the finished part is kept")
        raise
    finally:
        work.close()
    if not frames:
        text = "<b>Cancelled</b> before a frame was finished; the last result is kept."
        last_path = None if finished is None else finished.path
        yield {"status": line(text), "preview": None, "result": last_path}
        return
    seconds = time.perf_counter() - start
    outcome = "Done" if frames == len(motion) else "Cancelled, the finished part is kept"
    attention = f"attention {pipe.attention_backend}"
    facts = f"{frames} of {len(motion)} frames in {seconds:.1f} s on {device}, {attention}."
    yield _finished(result, outcome, f": {facts}{_caveats(request)}")


def _finished(video: FinishedVideo, outcome: str, facts: str = "") -> Update:
    """Show a video with what came of the work."""
    return {
        "finished": video,
        "status": line(f"<b>{outcome}</b>{facts}"),
        "preview": None,
        "result": video.path,
    }


def _progress(step: Progress, start: float) -> Update:
    """Show how far the work is, and its newest picture where there is one."""
    picture = step.preview if step.frames is None else step.frames[-1]
    if picture is None:
        return {"status": bar(step, start)}
    return {"status": bar(step, start), "preview": picture}


@handler("both")
def compare(finished: FinishedVideo | None) -> Iterator[Update]:
    """Show the driving video, the skeleton and the last result side by side."""
    if finished is None:
        raise InputError("there is no result yet; press 3 Generate first")
    path = finished.visit.new_file("side_by_side")
    work = outputs.write_comparison(
        finished.request, finished.inputs, finished.motion, finished.path, path
    )
    _drain(work)
    yield {"both": path}


@handler("status")
def cancel(visit: Visit) -> Iterator[Update]:
    """Stop the rendering after the frames in work."""
    visit.stop.set()
    text = "<b>Cancelling</b> after the frames in work; finished frames are kept."
    yield {"status": line(text)}


@handler("visit", "status", *controls.all_names())
def load_settings(visit: Visit, old: UploadedFile) -> Iterator[Update]:
    """Set the controls to the choices in a video that APV Studio wrote."""
    settings = media.read_settings(old) if old else None
    if not settings or "apv_studio" not in settings:
        raise InputError("this video holds no settings of APV Studio; choose an mp4 that it wrote")
    request = Request.of({**settings, "reference": "", "audio": ""})
    accents = request.accent_rows
    count = "" if accents is None else f" and {len(accents)} accents"
    text = f"<b>Settings{count} loaded</b>; choose the inputs and press 1 Analyse."
    yield {
        "visit": replace(visit, accents=accents, speech_hash=""),
        "status": line(text),
        **controls.shown(request),
    }
