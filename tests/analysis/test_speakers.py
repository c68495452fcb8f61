"""Who speaks in a picture of several people: planted people side by side."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.analysis import framing, speakers
from pipeline.analysis.detectors import cache
from pipeline.analysis.speaker_mask import own_mask
from pipeline.values import Detection, InputError, Keypoints, Pose
from tests.helpers.stick_person import figure

SIZE = (128, 288)
HEIGHT, WIDTH = SIZE


def standing(column: int) -> Pose:
    """A person in one of three columns of a picture of SIZE."""
    person = figure(1)

    def part(points: Keypoints) -> Keypoints:
        xy = (points.xy + np.array([column, 0])) / np.array([3, 1])
        return Keypoints(xy, points.score)

    return Pose(part(person.body), part(person.hands), part(person.face), person.fps, SIZE)


def faceless(person: Pose) -> Pose:
    return replace(person, face=Keypoints(person.face.xy, np.zeros_like(person.face.score)))


def third(column: int) -> np.ndarray:
    mask = np.zeros(SIZE, np.float32)
    width = WIDTH // 3
    mask[20:, column * width + 20 : (column + 1) * width - 20] = 1
    return mask


def three(*columns: int) -> Detection:
    people = tuple(standing(column) for column in columns)
    masks = tuple(third(column) for column in columns)
    note = "3 people found in the picture; the largest is used"
    return Detection(people, masks, (note,))


def places(detection: Detection) -> list[int]:
    return [int(3 * person.body.xy[0, 1, 0]) for person in detection.people]


@pytest.mark.parametrize("text", ["2", "0.3,0.5", " 1 ", "320,240", "0,0"])
def test_numbers_and_points_are_read(text) -> None:
    expected = int(text) if "," not in text else tuple(float(part) for part in text.split(","))
    assert speakers.parse_speaker(text) == expected


@pytest.mark.parametrize(
    "text", ["0", "-1", "left", "1,2,3", "nan,0.5", "-0.1,0.5", "1.5", ",", "9" * 5000]
)
def test_what_is_neither_is_refused(text) -> None:
    with pytest.raises(InputError, match="not understood"):
        speakers.parse_speaker(text)


def test_people_with_a_face_are_numbered_first() -> None:
    detection = three(0, 1, 2)
    people = (faceless(detection.people[0]), *detection.people[1:])
    ordered = speakers.in_order(replace(detection, people=people))
    assert places(ordered) == [1, 2, 0]
    assert np.array_equal(ordered.masks[2], detection.masks[0])


@pytest.mark.parametrize("speaker, column", [
    (None, 2), (1, 2), (2, 0), (3, 1),
    ((1 / 6, 0.2), 0), ((0.5, 0.2), 1), ((0.5, 0.6), 1), ((240.0, 80.0), 2),
])  # fmt: skip
def test_a_number_or_a_point_chooses_and_the_chosen_one_comes_first(speaker, column) -> None:
    detection = speakers.with_speaker(three(2, 0, 1), speaker)
    assert places(detection)[0] == column and sorted(places(detection)) == [0, 1, 2]
    assert np.array_equal(detection.masks[0], third(column))
    told = "" if isinstance(speaker, tuple) else f"number {speaker or 1} speaks"
    assert told in " ".join(detection.notes) and "largest is used" not in str(detection.notes)


@pytest.mark.parametrize("speaker, word", [
    (4, "no person number 4"), (0, "no person number 0"),
    ((0.334, 0.05), "nobody is at"), ((300.0, 5.0), "outside the reference image of 288x128"),
])  # fmt: skip
def test_a_wrong_choice_lists_the_people_with_their_places(speaker, word) -> None:
    with pytest.raises(InputError, match=word) as error:
        speakers.choose(three(0, 1, 2), speaker)
    for number, x in ((1, "0.16"), (2, "0.49"), (3, "0.82")):
        assert f"number {number} at {x},0.23" in str(error.value)
    assert "\n" not in str(error.value)


def test_nobody_speaks_without_a_face() -> None:
    detection = three(0, 1, 2)
    people = (*detection.people[:2], faceless(detection.people[2]))
    with pytest.raises(InputError, match="number 3 shows no face.*number 3 no face was seen"):
        speakers.choose(replace(detection, people=people), 3)


def test_one_person_alone_needs_no_note() -> None:
    alone = Detection((standing(1),), (third(1),))
    assert speakers.with_speaker(alone, None).notes == ()
    assert speakers.with_speaker(alone, 1).notes == ()


def test_the_crop_follows_the_speaker_and_finds_the_face_again(monkeypatch) -> None:
    monkeypatch.setattr(framing.detectors, "load", lambda name: None)
    monkeypatch.setattr(cache, "image", lambda loaded, picture: three(2, 0, 1))
    picture = np.repeat(np.arange(WIDTH, dtype=np.int32)[None, :, None], HEIGHT, 0)
    for number, column in ((1, 2), (2, 0), (3, 1)):
        crop = framing.crop_around_speaker(picture, (128, 96), "planted", number)
        x, y = crop.speaker
        place = crop.picture[int(y * HEIGHT), int(x * crop.picture.shape[1]), 0]
        assert abs(place - (column + 0.5) * WIDTH / 3) < 5
        assert f"number {number} speaks" in crop.notes[0]
    whole = framing.crop_around_speaker(picture, SIZE, "planted", 3)
    assert whole.picture is picture and whole.speaker[0] == pytest.approx(0.5, abs=0.02)
    assert framing.crop_around_speaker(picture, SIZE, "planted", None).speaker is None


def test_a_mask_loses_the_hand_of_a_neighbor_and_nothing_else() -> None:
    detection = three(0, 1, 2)
    elbow_pixels = (detection.people[0].body.xy[0, 6] * (WIDTH, HEIGHT)).round().astype(int)
    hand = np.zeros(SIZE, np.float32)
    x, y = elbow_pixels
    hand[y - 4 : y + 4, x - 4 : x + 4] = 1
    masks = (np.maximum(third(0), hand), np.maximum(third(1), hand), third(2))
    found = own_mask(replace(detection, masks=masks), 1)
    assert np.array_equal(found, third(1))
    assert np.array_equal(own_mask(replace(detection, masks=masks), 0), masks[0])
