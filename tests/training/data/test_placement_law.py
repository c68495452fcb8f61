"""The law of placements is measured on planted faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.training.data import placement_law
from pipeline.training.data.fda_sampling import PlacementLaw, draw_placement, place_points
from pipeline.values import FACE, InputError, Keypoints
from tests.helpers.stick_person import figure


def faces(low: tuple[float, float], high: tuple[float, float], frames: int = 5) -> np.ndarray:
    """(n,3) the boxes of a pose whose face fills a box, in half of the frames."""
    pose = figure(frames * 2)
    around = np.linspace(0, 2 * np.pi, FACE)
    circle = np.stack([np.cos(around), np.sin(around)], 1) / 2 + 0.5
    spread = (circle - circle.min(0)) / np.ptp(circle, axis=0)
    pose.face.xy[:] = np.array(low) + spread * (np.array(high) - low)
    pose.face.score[frames:] = 0
    return placement_law.face_boxes(pose)


def test_the_law_that_placed_faces_is_found_again() -> None:
    """Face clips, placed by a law, are body clips of which the same law is measured."""
    law = PlacementLaw(0.42, 0.31, 0.08, 0.05)
    generator = np.random.default_rng(0)
    close = figure(3)
    scales = np.array([2.5, 2.0])
    close.face.xy[:] = (close.face.xy - 0.5) * scales + (0.5, 0.9)
    face = [placement_law.face_boxes(close)]
    body = []
    for _ in range(400):
        placed = place_points(close, draw_placement(generator, law))
        body.append(placement_law.face_boxes(placed))
    measured = placement_law.measure(body, face)
    found = measured.law
    assert found.width_share == pytest.approx(0.42, abs=0.005)
    assert found.height_share == pytest.approx(0.31, abs=0.005)
    assert found.top == pytest.approx(0.08, abs=0.01)
    assert measured.clips == 400 and measured.frames == 1200 and measured.notes == ()
    assert measured.spread[0] == pytest.approx(0.1 / np.sqrt(12), abs=0.003)


def test_every_clip_counts_the_same_and_frames_without_a_face_do_not() -> None:
    short = faces((0.4, 0.1), (0.5, 0.2), frames=2)
    long = faces((0.4, 0.1), (0.6, 0.3), frames=50)
    nobody = np.empty((0, 3))
    measured = placement_law.measure([short, long, nobody], [])
    assert len(short) == 2 and measured.clips == 2 and measured.frames == 52
    assert measured.body.width == pytest.approx(0.15) and measured.body.top == pytest.approx(0.1)
    assert measured.face == placement_law.PORTRAIT


def test_close_ups_and_tiny_faces_give_a_possible_law() -> None:
    close = placement_law.measure([faces((0.1, 0.1), (0.9, 0.9))], [])
    assert close.law.width_share == 0.95 and "close-ups" in close.notes[0]
    tiny = placement_law.measure([faces((0.5, 0.1), (0.503, 0.104))], [])
    assert 0 < tiny.law.delta < 0.05 and "small" in tiny.notes[0]
    draw_placement(np.random.default_rng(0), tiny.law)


def test_no_faces_are_refused() -> None:
    hidden = figure(4)
    hidden = Keypoints(hidden.face.xy, hidden.face.score * 0)
    with pytest.raises(InputError, match="no face"):
        placement_law.measure([np.empty((0, 3))], [])
    assert not hidden.visible.any()


def test_a_law_is_written_and_read(tmp_path: Path) -> None:
    measured = placement_law.measure([faces((0.4, 0.1), (0.5, 0.2))], [])
    path = tmp_path / "law.json"
    placement_law.write(path, measured)
    assert placement_law.read(path) == measured.law
    path.write_text('{"width_share": 0.4, "height_share": 0.3, "top": 0.1, "delta": 0.02}')
    assert placement_law.read(path) == PlacementLaw(0.4, 0.3, 0.1, 0.02)
    for text in ("{", "[]", "7", '{"law": 3}', '{"width_share": "0.4"}', '{"law": {}}'):
        path.write_text(text)
        with pytest.raises(InputError, match="no placement law"):
            placement_law.read(path)
    with pytest.raises(InputError, match="cannot be read"):
        placement_law.read(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot be written"):
        placement_law.write(tmp_path / "no" / "law.json", measured)
