"""People in banners and in tall strips: found from close, in places of the whole picture."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.analysis import framing
from pipeline.analysis.detectors.detection import NoPersonError
from pipeline.values import Detection, InputError, Pose
from tests.helpers.stick_person import figure

SIDE = 100
LONG = 1000
PLACE = 640  # where the person's square begins along the long side
LEVEL = 200


PERSON = 80  # pixels


def start_of(seen: np.ndarray) -> int:
    """Return where a person begins of whom these rows or columns are seen."""
    return int(seen[-1]) + 1 - PERSON if seen[0] == 0 else int(seen[0])


class Detector:
    """Sees a person where half of a bright square is in a picture that is not too long."""

    name = "planted"
    version = "1"

    def image(self, image: np.ndarray) -> Detection:
        bright = image[..., 0] == LEVEL
        rows = np.flatnonzero(bright.any(1))
        columns = np.flatnonzero(bright.any(0))
        if bright.sum() < PERSON**2 / 2 or max(image.shape[:2]) > 2 * SIDE:
            raise NoPersonError("no person found")
        corner = np.array([start_of(columns), start_of(rows)])
        person = figure(1)
        whole = image.shape[1::-1]

        def part(points):
            return replace(points, xy=(points.xy * PERSON + corner) / whole)

        pose = Pose(part(person.body), part(person.hands), part(person.face), 1.0, image.shape[:2])
        return Detection((pose,), (bright.astype(np.float32),))


@pytest.mark.parametrize("shape", [(SIDE, LONG), (LONG, SIDE)])
def test_a_small_person_in_a_long_picture_is_found(tmp_path, monkeypatch, shape) -> None:
    monkeypatch.setenv("APV_CACHE", str(tmp_path))
    monkeypatch.setattr(framing.detectors, "load", lambda name: Detector())
    picture = np.zeros((*shape, 3), np.uint8)
    is_wide = shape[1] == LONG
    top, left = (10, PLACE) if is_wide else (PLACE, 10)
    picture[top : top + 80, left : left + 80] = LEVEL
    detection = framing.detect_reference(picture, "planted")
    (person,) = detection.people
    expected = figure(1).body.xy[0] * 80 + (left, top)
    assert person.size == shape and np.allclose(person.body.xy[0] * shape[::-1], expected)
    assert (detection.masks[0] > 0.5).sum() == 80 * 80
    assert detection.masks[0][top + 40, left + 40] > 0.5
    cropped = framing.crop_around_person(picture, (64, 64), "planted")
    assert cropped.shape == (SIDE, SIDE, 3) and (cropped == LEVEL).sum() == 3 * 80 * 80


def test_a_long_picture_without_a_person_is_refused_with_a_way_out(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("APV_CACHE", str(tmp_path))
    monkeypatch.setattr(framing.detectors, "load", lambda name: Detector())
    with pytest.raises(InputError, match="crop it"):
        framing.detect_reference(np.zeros((SIDE, LONG, 3), np.uint8), "planted")
    with pytest.raises(InputError, match="no person found"):
        framing.detect_reference(np.zeros((SIDE, SIDE, 3), np.uint8), "planted")


def test_a_strip_is_not_looked_at_for_minutes(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("APV_CACHE", str(tmp_path))
    detector = Detector()
    looks = []
    monkeypatch.setattr(
        detector, "image", lambda image: looks.append(1) or Detector.image(detector, image)
    )
    monkeypatch.setattr(framing.detectors, "load", lambda name: detector)
    strip = np.zeros((64000, 64, 3), np.uint8)
    with pytest.raises(InputError, match="a strip of 64x64000 pixels .* crop it to the person"):
        framing.detect_reference(strip, "planted")
    assert len(looks) == 1
