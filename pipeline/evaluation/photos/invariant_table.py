"""The printed rows of `evaluate photos --invariants`: each photograph, and all together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from pipeline import media
from pipeline.evaluation.photos import arms, invariants, sheet, subject, swing
from pipeline.evaluation.photos.invariants import PhotoFigures
from pipeline.evaluation.report import DEFINITIONS, Report, Row
from pipeline.values import InputError

LEAST_OWN_PSNR_DB = 40.0
MOST_OWN_CHANGE = 3.0  # gray levels of 255: hardly seen
MOST_PIECES = 1
LEAST_AREA = 0.7  # over the arm's area at rest
MOST_AREA = 1.4
MOST_FLIPPED = 0
SHEET_STEP = 2  # every second angle stands in the sheet
NOTHING = (float("nan"),)


def table(photos: Sequence[PhotoFigures]) -> list[Row]:
    """Return the rows of each photograph, then those of all together."""
    rows = []
    tables = []
    for photo in photos:
        photo_rows = _photo_rows(photo)
        tables.append(photo_rows)
        for row in photo_rows:
            rows.append(replace(row, name=f"{photo.name}: {row.name}"))
    for same_rows in zip(*tables, strict=True):
        rows += _pooled(same_rows)
    return rows


def _pooled(same_rows: Sequence[Row]) -> list[Row]:
    """Return a row's mean over the photographs, and the share of those that fail its level."""
    name = same_rows[0].name
    values = [row.value for row in same_rows if math.isfinite(row.value)] or NOTHING
    pooled = [Row(f"mean: {name}", float(np.mean(values)))]
    verdicts = [row.passed for row in same_rows if row.passed is not None]
    if verdicts:
        share = verdicts.count(False) / len(verdicts)
        pooled.append(Row(f"share that fails: {name}", share))
    return pooled


def _photo_rows(photo: PhotoFigures) -> list[Row]:
    """Return the rows of one photograph, with the worst angle of all swings."""
    rows = [
        Row("own pose, PSNR dB", photo.own_psnr, LEAST_OWN_PSNR_DB, ">="),
        Row("own pose, largest change of a block", photo.own_change, MOST_OWN_CHANGE),
        Row("layers at rest, PSNR dB", photo.layers_psnr),
        Row("layers at rest, holes", photo.holes),
        Row("arms swung", len({measured.side for measured in photo.swings})),
    ]
    for joint in swing.JOINTS:
        rows += _swing_rows(photo, joint)
    for share, change in zip(invariants.POINT_SHARES, photo.points, strict=True):
        rows.append(Row(f"points shaken by {share:.0%}, change", change))
    for step_px, change in zip(invariants.MASK_STEPS_PX, photo.masks, strict=True):
        rows.append(Row(f"mask changed by {step_px:+d} px, change", change))
    return rows


def _swing_rows(photo: PhotoFigures, joint: str) -> list[Row]:
    """Return the rows of all angles about one joint; NaN where no arm is shown whole."""
    angles: list[arms.Angle] = []
    for measured in photo.swings:
        if measured.joint == joint:
            angles += measured.angles
    why = "" if angles else "no whole arm"
    areas = [angle.area for angle in angles] or NOTHING
    pieces = [angle.pieces for angle in angles] or NOTHING
    overlaps = [angle.overlap for angle in angles] or NOTHING
    ghosts = [angle.ghost for angle in angles if angle.ghost is not None] or NOTHING
    flipped = [angle.flipped for angle in angles] or NOTHING
    return [
        Row(f"{joint}, most pieces of an arm", max(pieces), MOST_PIECES, "<=", why),
        Row(f"{joint}, least area over rest", min(areas), LEAST_AREA, ">=", why),
        Row(f"{joint}, most area over rest", max(areas), MOST_AREA, "<=", why),
        Row(f"{joint}, least overlap with the rigid arm", min(overlaps), why=why),
        Row(f"{joint}, ghost share", float(np.mean(ghosts)), why=why),
        Row(f"{joint}, flipped cells", sum(flipped), MOST_FLIPPED, "<=", why),
    ]


def report(references: Sequence[Path], sheet_path: Path | None) -> tuple[Report, str]:
    """Measure photographs; return their report and its heading, and write the sheet.

    A photograph without a person whose face is seen is named in a note. Raises InputError where
    no photograph is left.
    """
    photos = []
    strips = []
    notes = []
    for path in references:
        try:
            given = subject.find(media.read_image(path))
        except InputError as error:
            notes.append(f"{path.stem}: {error}")
            continue
        figures, films = invariants.measure(path.stem, given)
        photos.append(figures)
        for film in films:
            strips.append(sheet.strip(film[::SHEET_STEP]))
    if not photos:
        reasons = "; ".join(notes)
        raise InputError(f"none of the photographs can be measured: {reasons}")
    if sheet_path is not None and strips:
        sheet.write(strips, sheet_path)
    facts = {"photos": [asdict(photo) for photo in photos]}
    with_arm = sum(bool(photo.swings) for photo in photos)
    heading = f"{len(photos)} photographs, {with_arm} with a whole arm"
    return Report(table(photos), DEFINITIONS["photos"], facts, notes=notes), heading
