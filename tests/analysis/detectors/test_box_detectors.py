"""Boxes of the single-shot detectors, on planted proposals and on a drawn presenter."""

import numpy as np
import pytest

from pipeline import ROOT
from pipeline.analysis.detectors import box_detectors, holistic_networks, regions
from pipeline.analysis.detectors.box_detectors import BoxDetector
from pipeline.analysis.detectors.regions import Region
from pipeline.media import read_image

SIDE = 16
DETECTOR = BoxDetector("planted", ((8, 2),), 0.5)  # four cells, two proposals each


@pytest.fixture
def plant(monkeypatch):
    """Function (proposals (8,6), logits (8,)) that makes the network say so."""

    def planted(proposals: np.ndarray, logits: list[float]) -> None:
        outputs = (proposals.astype(np.float32), np.array(logits, np.float32)[:, None])
        monkeypatch.setattr(holistic_networks, "run", lambda name, picture: outputs)

    monkeypatch.setitem(holistic_networks.SHAPES, "planted", (SIDE, ()))
    return planted


def find() -> list:
    return DETECTOR.find(np.zeros((32, 32, 3), np.uint8), Region(16.0, 16.0, 32.0))


def test_proposals_count_from_their_cells(plant):
    proposals = np.zeros((8, 6))
    proposals[7] = (1, 0, 4, 4, -2, 2)  # the cell at the lower right, whose center is (12, 12)
    plant(proposals, [-9] * 7 + [2.0])
    (found,) = find()
    assert found.score == pytest.approx(1 / (1 + np.exp(-2)))
    assert found.points * SIDE / 32 == pytest.approx(np.array([[11, 10], [15, 14], [10, 14]]))
    assert found.key_points.shape == (1, 2)


def test_boxes_of_one_thing_are_averaged_by_score(plant):
    proposals = np.zeros((8, 6))
    proposals[0] = (0, 0, 8, 8, 0, 0)
    proposals[1] = (2, 0, 8, 8, 0, 0)
    proposals[6] = (0, 0, 2, 2, 0, 0)
    plant(proposals, [2.0, 1.0, -9, -9, -9, -9, 0.5, -9])
    best, other = find()
    weights = 1 / (1 + np.exp([-2.0, -1.0]))
    x = np.average([4, 6], weights=weights)  # the first cell's center is (4, 4)
    assert best.points[:2].mean(0) * SIDE / 32 == pytest.approx([x, 4])
    assert best.score > other.score


def test_nothing_and_empty_boxes(plant):
    plant(np.zeros((8, 6)), [-9.0] * 8)
    assert find() == []
    plant(np.zeros((8, 6)), [3.0] * 8)
    assert len(find()) == 8


@pytest.mark.parametrize(
    "detector",
    [
        box_detectors.PEOPLE_DETECTOR,
        box_detectors.CLOSE_FACE_DETECTOR,
        box_detectors.FAR_FACE_DETECTOR,
    ],
)
def test_the_shipped_detectors_have_a_proposal_per_row(detector):
    side, (boxes, scores) = holistic_networks.SHAPES[detector.name]
    anchors = box_detectors._anchors(detector.grids, side)
    assert len(anchors) == boxes[0] == scores[0]


def test_a_presenter_is_found_once():
    picture = read_image(ROOT / "assets" / "reference" / "half_jacket.png")
    whole = regions.whole(picture.shape[:2])
    assert len(box_detectors.PEOPLE_DETECTOR.find(picture, whole)) == 1
    assert len(box_detectors.CLOSE_FACE_DETECTOR.find(picture, whole)) == 1
