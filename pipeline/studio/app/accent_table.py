"""The table of accents under the waveform: what it shows, and what an edit changes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pipeline.analysis.progress import finish
from pipeline.motion.prosody import Prosody
from pipeline.studio import accents_file, charts, steps
from pipeline.studio.app.page_updates import Update, handler
from pipeline.studio.app.session import AccentRows, Table, Visit
from pipeline.studio.app.status import line
from pipeline.studio.app.zerogpu import model_settings, speech_network
from pipeline.studio.steps import AnalysedInputs
from pipeline.values import InputError

HINT = (
    "Double-click a cell to change it; the last row is free; empty both cells to delete. At once."
)
SHOWN = ("visit", "status", "wave", "accents", "hint")


def table_of(prosody: Prosody) -> Table:
    """Return the seconds and the strengths of the accents, and a free row to add one."""
    rows = [list(row) for row in accents_file.accent_rows(prosody.accents)]
    return [*rows, [None, None]]


@handler("visit")
def typed(visit: Visit, accents: Table) -> Iterator[Update]:
    """Note the table. Update nothing, and so stop, where it came before: Gradio sends it twice."""
    if accents != visit.last_table:
        yield {"visit": replace(visit, last_table=accents)}


@handler(*SHOWN)
def accents(visit: Visit, accents: Table) -> Iterator[Update]:
    """Use the accents of the table.

    The table is sent back only to order its rows or to free a new last row, for the visitor may be
    typing.
    """
    visit.need_analysis()
    rows, hint = read_table(accents)
    new_visit, status = with_accents(visit, rows)
    analysed = new_visit.need_analysis()
    new_table = table_of(analysed.analysis.prosody)
    update = {
        "visit": new_visit,
        "status": status,
        "wave": charts.waveform(analysed.inputs.audio, analysed.analysis.prosody),
        "hint": hint or HINT,
    }
    in_order = rows == tuple(tuple(row) for row in new_table[:-1])
    is_complete = bool(accents) and in_order and not filled_cells(accents[-1])
    if not is_complete and not hint:
        update["accents"] = new_table
    yield update


@handler(*SHOWN)
def detected(visit: Visit) -> Iterator[Update]:
    """Go back to the detected accents."""
    visit.need_analysis()
    new_visit, status = with_accents(replace(visit, last_table=None), None)
    analysed = new_visit.need_analysis()
    yield {
        "visit": new_visit,
        "status": status,
        "wave": charts.waveform(analysed.inputs.audio, analysed.analysis.prosody),
        "accents": table_of(analysed.analysis.prosody),
        "hint": HINT,
    }


def with_accents(visit: Visit, rows: AccentRows | None) -> tuple[Visit, str]:
    """Return the visit and the status after a change of the accents; None means the detected ones.

    Nothing is detected again, but nods, brows and generated gestures follow, as with `accents`.
    """
    start = time.perf_counter()
    before = visit.need_analysis()
    request = replace(before.request, accent_rows=rows)
    settings = model_settings(request.model)
    network = speech_network(request.model)
    analysis = finish(steps.analyse(request, settings, network, before.inputs))
    count = f"{len(analysis.prosody.accents)} accents"
    if rows is None:
        count += " as detected"
    else:  # in order of time, without those of strength 0
        rows = accents_file.accent_rows(analysis.prosody.accents)
    request = replace(request, accent_rows=rows)
    analysed = AnalysedInputs(request, before.inputs, analysis)
    seconds = time.perf_counter() - start
    status = line(f"<b>{count}</b> in {seconds:.2f} s; intensity, skeleton and draft follow.")
    return replace(visit, analysed=analysed, accents=rows), status


def read_table(table: Table) -> tuple[AccentRows, str]:
    """Return the full rows of the table, and a hint where a row lacks a cell."""
    rows = []
    hint = ""
    for number, row in enumerate(table, 1):
        try:
            cells = [float(cell) for cell in filled_cells(row)]
        except (TypeError, ValueError):
            raise InputError(
                f"row {number} of the accents holds {row}; "
                "give a time in seconds and a strength from 0 to 1"
            ) from None
        if len(cells) == 2:
            seconds, strength = cells
            rows.append((seconds, strength))
        elif cells:
            hint = f"⚠ Row {number} lacks a cell and does not count yet; empty both to delete it."
    return tuple(rows), hint


def filled_cells(row: list[Any]) -> list[Any]:
    """Return the cells that hold something; an empty cell is None, "" or NaN."""
    return [cell for cell in row[:2] if not (cell is None or cell == "" or cell != cell)]
