import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.motion import fda, keypoints
from pipeline.values import FACE, Keypoints, Pose

SIZE = (768, 512)


def shape() -> np.ndarray:
    """A plain 68-point face (68,2) in units of its half width, centred on the nose, y down."""
    turn = np.linspace(np.pi, 0, 17)
    jaw = np.stack([np.cos(turn), 0.1 + 1.1 * np.sin(turn)], 1)
    brows = np.array(
        [(x, -0.55) for x in (-0.8, -0.65, -0.5, -0.35, -0.2, 0.2, 0.35, 0.5, 0.65, 0.8)]
    )
    nose = np.array(
        [(0, -0.4), (0, -0.2), (0, 0), (0, 0.2), *((x, 0.3) for x in (-0.2, -0.1, 0, 0.1, 0.2))]
    )
    eye = np.array(
        [(-0.15, 0), (-0.05, -0.08), (0.05, -0.08), (0.15, 0), (0.05, 0.08), (-0.05, 0.08)]
    )
    outer = np.linspace(np.pi, 3 * np.pi, 12, endpoint=False)
    inner = np.linspace(np.pi, 3 * np.pi, 8, endpoint=False)
    lips = [
        np.stack([w * np.cos(a), 0.65 + h * np.sin(a)], 1)
        for a, w, h in ((outer, 0.4, 0.15), (inner, 0.3, 0.03))
    ]
    return np.concatenate([jaw, brows, nose, eye + (-0.4, -0.35), eye + (0.4, -0.35), *lips])


def face(frames: int, centre=(0.5, 0.3), half=60.0, roll=0.0, gap=0.0) -> Keypoints:
    """Faces in fractions of SIZE: half width in pixels, roll in radians, jaw dropped by gap, (T,)
    or one."""
    xy = np.repeat(shape()[None], frames, 0)
    drop = np.broadcast_to(gap, (frames,))[:, None]
    xy[:, [*range(55, 60), *range(65, 68)], 1] += drop
    xy[:, 5:12, 1] += 0.8 * drop
    angle = np.broadcast_to(roll, (frames,))
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    xy = np.stack([xy[..., 0] * c - xy[..., 1] * s, xy[..., 0] * s + xy[..., 1] * c], -1) * half
    return Keypoints(xy / (SIZE[1], SIZE[0]) + np.asarray(centre), np.full((frames, FACE), 0.9))


def posed(driving: Keypoints, fps: float = 25) -> Pose:
    empty = Pose.empty(len(driving), fps, SIZE)
    return Pose(empty.body, empty.hands, driving, fps, SIZE)


def upright(points: Keypoints) -> np.ndarray:
    """Shape without place, size and roll: similarity to the plain face over eyes and nose, in
    pixels."""
    scale = np.array([SIZE[1], SIZE[0]])
    plain = np.repeat(shape()[None], len(points), 0)
    shared = np.ones((len(points), 21), bool)
    fitted = fda.fit_similarity(points.xy * scale, plain, shared, keypoints.EYES_NOSE)
    turned = fda.rotate(points.xy * scale, fitted.turn)
    return turned * fitted.gain[:, None, None] + fitted.shift[:, None]


def test_paper_box_is_met_exactly() -> None:
    driving, predicted = face(5, (0.3, 0.6), 20), face(5, gap=np.linspace(0, 0.5, 5))
    out = fda.splice(posed(driving), predicted, box="paper").face
    for edge in (np.min, np.max):
        pixels = np.abs(edge(out.xy, 1) - edge(driving.xy, 1)) * (SIZE[1], SIZE[0])
        assert pixels.max() <= 1e-9
    assert np.array_equal(out.score, driving.score)


@pytest.mark.parametrize("region", ["face", "lips"])
def test_rigid_box_takes_roll_from_driving_and_mouth_from_speech(region: str) -> None:
    roll = np.linspace(-0.5, 0.5, 9)
    gap = np.linspace(0, 0.5, 9)
    driving, predicted = face(9, (0.3, 0.6), 20, roll), face(9, (0.55, 0.35), 70, 0.1, gap)
    out = fda.splice(posed(driving), predicted, region, "rigid").face
    wanted = face(9, (0.3, 0.6), 20, roll, gap)
    assert np.abs((out.xy - wanted.xy) * (SIZE[1], SIZE[0])).max() < 1e-6


def test_paper_box_squeezes_an_open_mouth_and_rigid_does_not() -> None:
    driving, predicted = face(1), face(1, gap=0.4)
    eyes = {}
    for box in fda.BOXES:
        xy = fda.splice(posed(driving), predicted, box=box).face.xy[0]
        eyes[box] = np.abs(xy[36:48] - driving.xy[0, 36:48]).max()
    assert eyes["rigid"] < 1e-9 < 0.002 < eyes["paper"]


def test_lips_keep_the_driving_upper_face_and_join_the_jaw() -> None:
    driving, predicted = face(3, (0.4, 0.5), 30, 0.2), face(3, gap=0.3)
    wider = Keypoints((predicted.xy - 0.5) * (1.0, 1.2) + 0.5, predicted.score)
    out = fda.splice(posed(driving), wider, "lips").face
    kept = np.setdiff1d(np.arange(FACE), fda.LIPS_JAW)
    assert np.array_equal(out.xy[:, kept], driving.xy[:, kept])
    steps = np.linalg.norm(np.diff(out.xy[:, :17] * (SIZE[1], SIZE[0]), axis=1), axis=2)
    assert steps.max() < 2.5 * np.median(steps)
    opening = upright(out)[:, 66, 1] - upright(out)[:, 62, 1]
    assert (opening > upright(driving)[:, 66, 1] - upright(driving)[:, 62, 1] + 0.1).all()


def test_none_keeps_the_driving_face() -> None:
    driving = posed(face(3, (0.4, 0.5), 30, 0.2))
    out = fda.splice(driving, face(3, gap=0.3), "none")
    assert np.array_equal(out.face.xy, driving.face.xy)
    assert np.array_equal(out.face.score, driving.face.score)


def test_lips_in_face_coordinates_survive_any_head() -> None:
    """Speech decides the mouth: its shape in the face's own coordinates is that of the
    prediction."""
    gap = 0.2 + 0.2 * np.sin(np.arange(20))
    driving = face(20, (0.6, 0.2), 45, np.linspace(0, 0.4, 20), 0.3)
    predicted = face(20, gap=gap)
    out = fda.splice(posed(driving), predicted)
    assert np.abs(upright(out.face)[:, 48:] - upright(predicted)[:, 48:]).max() < 1e-6


def test_gaps_up_to_half_a_second_are_bridged_and_longer_ones_stay_empty() -> None:
    centres = np.linspace((0.3, 0.3), (0.6, 0.5), 60)[:, None]
    driving = Keypoints(face(60).xy - 0.5 + centres, face(60).score.copy())
    for start, stop in ((5, 17), (25, 39)):
        driving.score[start:stop] = 0
        driving.xy[start:stop] = 0
    out = fda.splice(posed(driving), face(60)).face
    assert out.visible[:25].all() and out.visible[39:].all() and not out.score[25:39].any()
    middle = out.xy[:25, 30]
    assert np.abs(np.diff(middle, 2, axis=0)).max() < 1e-9  # the face travels in a straight line


def test_frames_without_a_prediction_keep_the_driving_face() -> None:
    driving, predicted = face(4, (0.3, 0.4), 30), face(4, gap=0.3)
    predicted.score[1] = 0
    predicted.score[2, 48:] = 0
    for region in ("face", "lips"):
        out = fda.splice(posed(driving), predicted, region).face
        assert np.array_equal(out.xy[1], driving.xy[1]) and out.visible[1].all()
        assert np.array_equal(out.xy[2, 48:], driving.xy[2, 48:])
        assert np.abs(out.xy[3, 57] - driving.xy[3, 57]).max() > 0.005


def mapped(face: Keypoints, boxes: fda.BoxMap) -> np.ndarray:
    return face.xy * boxes.scale[:, None] + boxes.shift[:, None]


def test_fit_maps_box_to_box_and_mirrored_faces_stay_finite() -> None:
    source, target = face(3), face(3, (0.2, 0.7), 15)
    boxes = fda.fit(source, target, "paper")
    assert np.abs(mapped(source, boxes) - target.xy).max() < 1e-12
    mirrored = Keypoints((source.xy - 0.5) * (-1, 1) + 0.5, source.score)
    assert np.isfinite(fda.splice(posed(target), mirrored).face.xy).all()


def test_one_point_and_zero_width_never_give_nan() -> None:
    driving = face(6)
    driving.score[1] = 0
    driving.score[1, 30] = 0.9  # one visible point
    driving.xy[2, :, 0] = 0.5  # no width
    boxes = fda.fit(face(6, half=30), driving)
    assert np.allclose(boxes.scale, boxes.scale[0]) and np.allclose(boxes.shift, boxes.shift[0])
    still = Keypoints(np.full((3, FACE, 2), 0.5), np.ones((3, FACE)))
    boxes = fda.fit(still, still)
    assert (boxes.scale == 1).all() and (boxes.shift == 0).all()
    assert not fda.splice(posed(still), face(3)).face.score.any()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 12),
    st.floats(0, 1),
    st.sampled_from(fda.REGIONS),
    st.sampled_from(sorted(fda.BOXES)),
)
def test_splice_is_finite_and_keeps_scores_in_range(seed, frames, share, region, box) -> None:
    rng = np.random.default_rng(seed)
    kinds = []
    for _ in range(2):
        xy = rng.normal(0.5, 10 ** rng.uniform(-6, 1), (frames, FACE, 2))
        kinds.append(
            Keypoints(xy, rng.random((frames, FACE)) * (rng.random((frames, FACE)) < share))
        )
    out = fda.splice(posed(kinds[0]), kinds[1], region, box).face
    assert np.isfinite(out.xy).all() and (out.score >= 0).all() and (out.score <= 1).all()


def test_refusals() -> None:
    with pytest.raises(ValueError, match="fit the pose"):
        fda.splice(posed(face(3)), face(4))
    with pytest.raises(ValueError, match="region"):
        fda.splice(posed(face(3)), face(3), "nose")
    with pytest.raises(ValueError, match="box"):
        fda.fit(face(3), face(3), "round")
    with pytest.raises(ValueError, match="frames"):
        fda.fit(face(3), face(2))


def box_error(out: Keypoints, driving: Keypoints, rows: np.ndarray) -> float:
    """Largest distance in pixels of the edges of both boxes around the points that count on both
    sides."""
    seen = (out.visible & driving.visible)[..., None]
    edges = []
    for k in (out, driving):
        low, high = np.where(seen, k.xy, np.inf).min(1), np.where(seen, k.xy, -np.inf).max(1)
        edges.append(np.stack([low[rows], high[rows]]))
    away = np.abs(edges[0] - edges[1]) * (SIZE[1], SIZE[0])
    return float(away.max()) if away.size else 0.0


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(-1.5, 2.5),
    st.floats(2, 300),
    st.sampled_from(["none", "predicted", "driving", "both"]),
    st.sampled_from(["whole", "some points", "one point", "no width", "none"]),
)
def test_paper_boxes_meet_wherever_the_driving_face_is(seed, place, half, mirrored, damage) -> None:
    """Mirrored, half hidden, out of the picture, damaged in some frames: the box is met to half a
    pixel."""
    rng = np.random.default_rng(seed)
    driving = face(8, (place, 0.4), half, rng.uniform(-1, 1, 8), rng.uniform(0, 0.5, 8))
    predicted = face(8, gap=rng.uniform(0, 0.5, 8))
    for name, points in (("driving", driving), ("predicted", predicted)):
        if mirrored in (name, "both"):
            points.xy[..., 0] = 1 - points.xy[..., 0]
    bad = np.array([3, 4])
    if damage == "some points":
        driving.score[:] = np.where(rng.random(driving.score.shape) < 0.3, 0, driving.score)
    elif damage == "one point":
        driving.score[bad, 1:] = 0
    elif damage == "no width":
        driving.xy[bad, :, 0] = place
    elif damage == "none":
        driving.score[bad] = 0
    out = fda.splice(posed(driving), predicted, box="paper").face
    good = np.setdiff1d(np.arange(8), bad if damage != "some points" else [])
    assert np.isfinite(out.xy).all() and box_error(out, driving, good) <= 0.5
    for box, region in (("rigid", "face"), ("rigid", "lips")):
        assert np.isfinite(fda.splice(posed(driving), predicted, region, box).face.xy).all()


def test_a_pulsating_box_gives_a_steady_face_in_its_place() -> None:
    """The size is smoothed; the box's middle is the driving one's in every frame."""
    rng = np.random.default_rng(0)
    centres = np.linspace((0.3, 0.3), (0.5, 0.5), 60)[:, None]
    beat = 1 + 0.03 * rng.standard_normal((60, 1, 1))
    driving = Keypoints((face(60, (0, 0)).xy * beat) + centres, face(60).score)
    out = fda.splice(posed(driving), face(60)).face
    heights = [np.ptp(k.xy[:, keypoints.RIGID_FACE, 1], axis=1) for k in (driving, out)]
    tremble = [np.std(np.diff(h, 2)) for h in heights]
    assert tremble[1] < 0.3 * tremble[0]
    middles = [
        (k.xy[:, keypoints.RIGID_FACE].min(1) + k.xy[:, keypoints.RIGID_FACE].max(1)) / 2
        for k in (driving, out)
    ]
    assert np.abs((middles[0] - middles[1]) * (SIZE[1], SIZE[0])).max() < 0.5
    lips = fda.splice(posed(driving), face(60, gap=0.3), "lips").face
    width = lips.xy[:, 54, 0] - lips.xy[:, 48, 0]
    assert np.std(np.diff(width, 2)) < 0.3 * np.std(
        np.diff(driving.xy[:, 54, 0] - driving.xy[:, 48, 0], 2)
    )


def test_a_smoothed_fit_keeps_boxes_concentric_and_the_papers_has_no_smoothing() -> None:
    source, target = face(9), face(9, (0.4, 0.6), 20)
    target.xy[4] = (target.xy[4] - target.xy[4].mean(0)) * 1.2 + target.xy[4].mean(0)
    smooth = fda.fit(source, target, "paper", smooth=2.0)
    assert smooth.scale[4, 0] < fda.fit(source, target, "paper").scale[4, 0]
    assert fda.SIZE_SIGMA_SECONDS["paper"] == 0
    for points in (mapped(source, smooth), target.xy):
        middle = (points.min(1) + points.max(1)) / 2
        assert np.allclose(middle, (target.xy.min(1) + target.xy.max(1)) / 2)
