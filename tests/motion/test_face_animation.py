"""The mouth basis on 68 points: closures, openings, the face's own axes, and turning in depth."""

import numpy as np
import pytest

from pipeline.motion import face_animation
from pipeline.motion.keypoints import MIRROR_FACE
from tests.helpers.face68 import placed

SIZE = (400, 300)
COLUMN = {name: k for k, name in enumerate(face_animation.PARAMETERS)}


def rows(**values: float) -> np.ndarray:
    out = np.zeros((1, len(face_animation.PARAMETERS)))
    for name, value in values.items():
        out[0, COLUMN[name]] = value
    return out


def moved(
    reference: np.ndarray, size=SIZE, blink=0.0, brow=0.0, amplitude=1.0, **values: float
) -> np.ndarray:
    """Pixels (68, 2) of one animated frame."""
    out = face_animation.animate(
        reference, size, rows(**values), np.array([blink]), np.array([brow]), amplitude
    )
    assert out.xy.shape == (1, 68, 2) and (out.score == 1).all()
    return out.xy[0] * np.array(size[::-1])


def lips(pixels: np.ndarray) -> float:
    return float(
        np.mean([np.hypot(*(pixels[a] - pixels[b])) for a, b in ((61, 67), (62, 66), (63, 65))])
    )


def turned_face(face: np.ndarray, angles: np.ndarray) -> np.ndarray:
    axes = face_animation.Axes.of(face[0], SIZE)
    return face_animation.turn_face(face, angles, axes)


def test_a_closed_reference_at_rest_stays_as_it_is() -> None:
    reference = placed(SIZE)
    assert np.abs(moved(reference) - reference * SIZE[::-1]).max() < 1e-9


def test_an_open_reference_is_closed_at_rest_and_keeps_its_lips_thickness() -> None:
    reference = placed(SIZE, gap=0.25)
    pixels, before = moved(reference), reference * SIZE[::-1]
    assert lips(before) > 10 and lips(pixels) < 1e-6
    for outer, inner in ((51, 62), (57, 66)):
        thick = [abs(p[outer, 1] - p[inner, 1]) for p in (pixels, before)]
        assert thick[0] == pytest.approx(thick[1], rel=0.05)
    assert pixels[8, 1] < before[8, 1], "a wide open jaw comes up"


def test_the_opening_grows_with_the_gap_and_with_the_amplitude() -> None:
    reference = placed(SIZE)
    widths = [lips(moved(reference, gap=g)) for g in (0, 0.25, 0.5, 1.0)]
    assert widths == sorted(widths) and widths[0] < 1e-6 and widths[-1] > 10
    assert lips(moved(reference, gap=0.5, amplitude=2.0)) == pytest.approx(2 * widths[2], rel=1e-6)
    assert lips(moved(reference, gap=1, amplitude=0.0)) < 1e-6


def test_a_closure_shuts_the_lips_whatever_the_gap_says() -> None:
    reference = placed(SIZE)
    assert lips(moved(reference, gap=0.6, close=0.9, amplitude=2.0)) < 1e-6
    assert lips(moved(reference, gap=0.6, close=0.2)) == pytest.approx(
        lips(moved(reference, gap=0.6))
    )


def test_the_open_mouth_is_no_wedge() -> None:
    pixels = moved(placed(SIZE), gap=1.0)
    middle, side = pixels[66, 1] - pixels[62, 1], pixels[67, 1] - pixels[61, 1]
    assert side > 0.7 * middle


def test_rounding_narrows_and_spreading_widens_the_mouth() -> None:
    def width(**values: float) -> float:
        pixels = moved(placed(SIZE), **values)
        return pixels[54, 0] - pixels[48, 0]

    assert width(pucker=1) < width(funnel=1) < width() < width(stretch=1)


def test_speaking_moves_only_the_mouth_and_the_jaw() -> None:
    reference = placed(SIZE)
    params = {name: 0.8 for name in face_animation.PARAMETERS if name != "close"}
    away = np.abs(moved(reference, **params) - reference * SIZE[::-1]).max(1)
    assert away[17:48].max() < 1e-9 and away[[0, 16]].max() < 1e-9
    assert away[8] > 3 and away[57] > 5


@pytest.mark.parametrize("tilt", [-25, 10, 40])
def test_a_tilted_reference_speaks_along_its_own_tilt(tilt: float) -> None:
    c, s = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    turn = np.array([[c, s], [-s, c]])
    values = {"gap": 0.7, "jaw": 0.6, "pucker": 0.3, "upperup": 0.4, "blink": 0.7, "brow": 0.5}
    pivot = np.array([SIZE[1] / 2, SIZE[0] / 2.5])
    straight = (moved(placed(SIZE), **values) - pivot) @ turn + pivot
    assert np.abs(moved(placed(SIZE, tilt=tilt), **values) - straight).max() < 1e-6


def test_the_shape_of_the_picture_does_not_matter() -> None:
    wide = (300, 900)
    values = {"gap": 0.7, "jaw": 0.6, "stretch": 0.5}
    here = moved(placed(SIZE), **values) - placed(SIZE)[30] * SIZE[::-1]
    there = moved(placed(wide), size=wide, **values) - placed(wide)[30] * wide[::-1]
    assert np.abs(here - there).max() < 1e-6


def test_the_basis_is_symmetric() -> None:
    pixels = moved(
        placed(SIZE), gap=0.7, jaw=0.6, funnel=0.5, bite=0.3, press=0.2, blink=0.5, brow=0.3
    )
    mirrored = pixels[MIRROR_FACE]
    mirrored[:, 0] = SIZE[1] - mirrored[:, 0]
    assert np.abs(mirrored - pixels).max() < 1e-6


def test_a_blink_nearly_closes_the_eyes_and_a_brow_raise_lifts_the_brows() -> None:
    rest, pixels = moved(placed(SIZE)), moved(placed(SIZE), blink=1.0, brow=1.0)
    opening = [(p[41, 1] - p[37, 1], p[46, 1] - p[44, 1]) for p in (rest, pixels)]
    assert 0 < opening[1][0] < 0.2 * opening[0][0] and 0 < opening[1][1] < 0.2 * opening[0][1]
    assert (rest[17:27, 1] - pixels[17:27, 1] > 3).all()


def test_turning_by_nothing_changes_nothing_and_directions_are_as_documented() -> None:
    still = placed(SIZE)[None]
    assert np.abs(turned_face(still, np.zeros((1, 3))) - still).max() < 1e-12
    turned = [turned_face(still, np.array([angles]))[0] for angles in ((15.0, 0, 0), (0, 10.0, 0))]
    nose = [points[30] - still[0, 30] for points in turned]
    assert nose[0][0] > 0.02 and abs(nose[0][1]) < 1e-6
    assert nose[1][1] > 0.02 and abs(nose[1][0]) < 1e-6
    rolled = turned_face(still, np.array([[0, 0, 10.0]]))[0]
    assert rolled[45, 1] > rolled[36, 1], "roll tilts the head clockwise"


def test_turning_narrows_the_far_cheek() -> None:
    turned = turned_face(placed(SIZE)[None], np.array([[20.0, 0, 0]]))[0]
    near, far = turned[30, 0] - turned[2, 0], turned[14, 0] - turned[30, 0]
    assert near > 1.5 * far > 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: face_animation.animate(
                placed(SIZE)[:60], SIZE, rows(), np.zeros(1), np.zeros(1)
            ),
            "68 finite points",
        ),
        (
            lambda: face_animation.animate(
                placed(SIZE), SIZE, np.zeros((3, 4)), np.zeros(3), np.zeros(3)
            ),
            "shape",
        ),
        (
            lambda: face_animation.animate(placed(SIZE), SIZE, rows(), np.zeros(2), np.zeros(1)),
            "blink",
        ),
        (
            lambda: face_animation.animate(
                placed(SIZE), SIZE, rows(), np.zeros(1), np.zeros(1), -1.0
            ),
            "amplitude",
        ),
        (
            lambda: face_animation.animate(
                np.zeros((68, 2)), SIZE, rows(), np.zeros(1), np.zeros(1)
            ),
            "eyes",
        ),
        (
            lambda: face_animation.animate(
                1 - placed(SIZE, tilt=90), SIZE, rows(), np.zeros(1), np.zeros(1)
            ),
            "!",
        ),
        (lambda: turned_face(placed(SIZE)[None], np.zeros((2, 3))), "rows"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(call, words: str) -> None:
    if words == "!":  # a face on its side is fine
        call()
        return
    with pytest.raises(ValueError, match=words):
        call()
