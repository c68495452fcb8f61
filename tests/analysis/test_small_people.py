"""Tiny people in large pictures are found from close, in places of the whole picture."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline import ROOT
from pipeline.analysis import framing, picture_people, small_people
from pipeline.media import read_image
from pipeline.studio import pose_tool
from pipeline.values import Detection, InputError, Keypoints, Pose
from tests.helpers.stick_person import figure

SIZE = (3000, 4000)
PERSON = ROOT / "assets" / "reference" / "full_trousers.png"


def landscape(size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return a picture of soft and fine noise in which nobody is."""
    height, width = size
    rng = np.random.default_rng(0)
    picture = np.full((height, width, 3), 120, np.float32)
    for step in (4, 16, 64, 256):
        coarse = rng.normal(0, 12, (height // step, width // step, 3)).astype(np.float32)
        picture += cv2.resize(coarse, (width, height))
    return np.clip(picture, 0, 255).astype(np.uint8)


def put(picture: np.ndarray, share: float, corner: tuple[int, int]) -> np.ndarray:
    """Put a person's photograph, `share` as high as the picture, at a corner (top, left)."""
    person = read_image(PERSON)
    rows = round(share * picture.shape[0])
    columns = round(rows * person.shape[1] / person.shape[0])
    small = cv2.resize(person, (columns, rows), interpolation=cv2.INTER_AREA)
    top, left = corner
    picture = picture.copy()
    picture[top : top + rows, left : left + columns] = small
    return picture


def in_pixels(detection: Detection) -> np.ndarray:
    """Return the face (68,2) of the first person in pixels."""
    person = detection.people[0]
    return person.face.xy[0] * person.size[::-1]


@pytest.mark.parametrize(
    "share, corner",
    [
        (1 / 8, (300, 3200)),
        pytest.param(1 / 12, (2500, 200), marks=pytest.mark.slow),
        pytest.param(1 / 20, (1400, 1900), marks=pytest.mark.slow),
    ],
)
def test_a_tiny_person_is_found_where_it_stands(tmp_path, monkeypatch, share, corner) -> None:
    monkeypatch.setenv("APV_CACHE", str(tmp_path))
    picture = put(landscape(), share, corner)
    detection = framing.detect_reference(picture, "holistic")
    person = read_image(PERSON)
    scale = share * SIZE[0] / person.shape[0]
    alone = in_pixels(framing.detect_reference(person, "holistic"))
    expected = alone * scale + corner[::-1]
    face = in_pixels(detection)
    height = np.ptp(expected[:, 1])
    assert np.linalg.norm(face - expected, axis=1).mean() < 0.1 * height
    assert detection.people[0].size == SIZE and detection.masks[0].shape == SIZE
    rows, columns = np.nonzero(detection.masks[0] > 0.5)
    assert corner[0] <= rows.min() and rows.max() <= corner[0] + share * SIZE[0]
    note = detection.notes[-1]
    assert note.count("crop the picture to the person") == 1 and "% as high" in note


@pytest.mark.slow
def test_a_picture_of_nobody_is_refused_in_bounded_time(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("APV_CACHE", str(tmp_path))
    looks = []
    search = small_people.PEOPLE_DETECTOR.find

    class Counting:
        def find(self, image, region):
            looks.append(image.shape)
            return search(image, region)

    monkeypatch.setattr(small_people, "PEOPLE_DETECTOR", Counting())
    with pytest.raises(InputError) as refusal:
        framing.detect_reference(landscape(), "holistic")
    assert str(refusal.value).startswith("no person found in the picture")
    assert str(refusal.value).count("\n") == 0
    assert 300 < len(looks) < 700 and max(max(shape) for shape in looks) <= 224


class Planted:
    """Sees a planted person in a whole picture."""

    name = "planted"
    version = "1"

    def __init__(self, person: Pose) -> None:
        self.person = person

    def image(self, image: np.ndarray) -> Detection:
        return Detection((self.person,), ())


@pytest.mark.parametrize("face_height, is_kept", [(0.005, False), (0.1, True)])
def test_hardly_a_face_is_looked_for_from_close(
    tmp_path, monkeypatch, face_height, is_kept
) -> None:
    monkeypatch.setenv("APV_CACHE", str(tmp_path))
    person = figure(1)
    height = np.ptp(person.face.xy[0, :, 1])
    small = person.face.xy * face_height / height
    seen = replace(person, face=Keypoints(small, person.face.score), size=(600, 600))
    closer = Detection((person,), (), ("from close",))
    monkeypatch.setattr(picture_people, "detect_small_people", lambda *_: closer)
    picture = np.zeros((600, 600, 3), np.uint8)
    found = picture_people.find_people(picture, Planted(seen))
    assert (found.notes == ()) == is_kept


def test_the_pose_command_finds_a_tiny_person(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("APV_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "large.png"
    picture = put(landscape((1500, 2000)), 1 / 8, (200, 300))
    Image.fromarray(picture).save(path)
    detection = pose_tool.read(str(path))
    assert detection.people[0].face.visible.all()
