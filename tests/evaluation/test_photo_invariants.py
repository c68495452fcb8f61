"""`evaluate photos --invariants`: a sound renderer passes, and each figure sees its own fault."""

import functools
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pipeline.evaluation.photos import invariant_table, invariants, swing
from pipeline.evaluation.photos.invariants import PhotoFigures
from pipeline.evaluation.photos.subject import Subject
from pipeline.values import InputError
from tests.helpers.paper_doll import Faults, doll, drawn


@functools.cache
def figures(faults: Faults | None = None, white: bool = False, sides=("right",)) -> PhotoFigures:
    colors = ((0.9, 0.9, 0.9),) * 2 if white else ()
    image, pose, mask = drawn(*colors)
    given = Subject(image, pose, mask, sides)
    cut = doll(faults)
    return invariants.measure("drawn", given, cut, cut)[0]


def angles(photo: PhotoFigures, joint: str = "elbow") -> list:
    return [angle for swing in photo.swings if swing.joint == joint for angle in swing.angles]


def failing(photo: PhotoFigures) -> list[str]:
    rows = invariant_table.table([photo])
    return [row.name.removeprefix("drawn: ") for row in rows if row.passed is False]


@pytest.mark.parametrize("white", [False, True], ids=["colors", "white sleeve, white shirt"])
def test_a_sound_renderer_reaches_every_level(white: bool) -> None:
    photo = figures(white=white, sides=("right", "left"))
    assert failing(photo) == []
    assert len(photo.swings) == 4 and len(angles(photo, "shoulder")) >= 20
    assert photo.holes < 0.005 and max(photo.points) < 5 and max(photo.masks) < 7
    assert max(angle.ghost or 0 for angle in angles(photo)) < 0.05
    assert min(angle.overlap for angle in angles(photo)) > 0.6


@pytest.mark.parametrize(
    ("faults", "rows"),
    [
        (Faults(gap=8), ["shoulder, most pieces of an arm", "elbow, most pieces of an arm"]),
        (Faults(width=2.0), ["shoulder, most area over rest"]),
        (Faults(width=0.3), ["shoulder, least area over rest"]),
        (Faults(mirror=True), ["shoulder, flipped cells", "elbow, flipped cells"]),
        (Faults(offset=3), ["own pose, PSNR dB", "own pose, largest change of a block"]),
    ],
    ids=lambda value: str(value) if isinstance(value, Faults) else "",
)
def test_a_fault_fails_its_row(faults: Faults, rows: list[str]) -> None:
    assert set(rows) <= set(failing(figures(faults)))


def test_an_arm_that_stays_behind_is_a_ghost() -> None:
    for joint in ("shoulder", "elbow"):
        ghosts = [
            a.ghost for a in angles(figures(Faults(ghost=True)), joint) if a.ghost is not None
        ]
        assert ghosts and min(ghosts) > 0.8


def test_a_hole_is_counted() -> None:
    assert figures(Faults(hole=12)).holes > figures().holes + 0.01


def test_a_nervous_cut_changes_by_shaken_points() -> None:
    assert min(figures(Faults(nervous=6)).points) > 2 * max(figures().points)


def test_the_warp_is_asked_through_plates_and_warp_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swing, "TURNS_DEG", {"shoulder": (30, 60), "elbow": (-40,)})
    image, pose, mask = drawn()
    photo, films = invariants.measure("warp", Subject(image, pose, mask, ("right",)))
    assert photo.own_psnr > 40 and photo.own_change < 3 and photo.layers_psnr > 25
    assert [(s.side, s.joint) for s in photo.swings] == [("right", "shoulder"), ("right", "elbow")]
    assert films[0].shape == (2, *image.shape[2:], 3)


def test_the_table_pools_photographs_and_leaves_out_who_shows_no_arm() -> None:
    armless = replace(figures(), name="armless", swings=())
    rows = {row.name: row for row in invariant_table.table([figures(Faults(gap=8)), armless])}
    assert rows["armless: elbow, most pieces of an arm"].why == "no whole arm"
    assert rows["share that fails: elbow, most pieces of an arm"].value == 1
    assert rows["share that fails: elbow, flipped cells"].value == 0
    own = [rows[f"{name}: own pose, PSNR dB"].value for name in ("drawn", "armless")]
    assert rows["mean: own pose, PSNR dB"].value == sum(own) / 2


def test_a_picture_without_a_person_is_a_note_or_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "wall.png"
    Image.new("RGB", (64, 64), "gray").save(path)
    with pytest.raises(
        InputError, match="none of the photographs can be measured: wall: no person"
    ):
        invariant_table.report([path], None)
