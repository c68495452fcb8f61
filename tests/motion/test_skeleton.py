import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.motion import skeleton
from pipeline.motion.skeleton import mesh_style
from pipeline.values import BODY, FACE, HANDS, InputError, Keypoints, Pose
from tests.helpers.people import person
from tests.helpers.processor_time import units
from tests.helpers.stick_person import still_person


def read(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("name", ["one", "edge"])
def test_controlnext_equals_published_pictures(data: Path, name: str) -> None:
    with np.load(data / "pose_keypoints.npz") as file:
        drawn = skeleton.draw(person(file, name, (384, 256)), (384, 256), "controlnext")
    assert np.array_equal(drawn[0], read(data / f"pose_{name}_384x256.png"))


@pytest.mark.parametrize("name", ["one", "edge"])
def test_controlnext_equals_published_pictures_at_full_size(shared: Path, name: str) -> None:
    path = shared / "parity" / f"pose_{name}_1024x576.png"
    with np.load(shared / "parity" / "pose_keypoints.npz") as file:
        drawn = skeleton.draw(person(file, name, (1024, 576)), (1024, 576), "controlnext")
    assert np.array_equal(drawn[0], read(path))


def test_mesh_equals_aniportrait(shared: Path) -> None:
    folder = shared / "parity"
    edges = json.loads((folder / "aniportrait_face_connections.json").read_text())
    wanted = {(frozenset((i, j)), tuple(color)) for i, j, color, _ in edges}
    own = [(frozenset((i, j)), color) for i, j, color in mesh_style.EDGES]
    assert set(own) == wanted and len(own) == len(edges) == 114
    with np.load(folder / "aniportrait_geometry.npz") as file:
        mesh = file["s0_projected"][2:3] / file["s0_size_wh"]
    pictures = sorted(folder.glob("aniportrait_face_s0_frame2_*.png"))
    assert pictures
    for path in pictures:
        wanted = read(path)
        size = wanted.shape[:2]
        pose = Pose.empty(1, 25, size)
        assert np.array_equal(skeleton.draw(pose, size, "aniportrait", mesh)[0], wanted)


def test_mesh_edges_are_those_of_mediapipe(data) -> None:
    """Eyes, brows and lips whole, the oval without the forehead, in MediaPipe's own numbering.

    The file holds `face_mesh_connections` of MediaPipe 0.10.21.
    """
    text = (data / "face_mesh_edges.json").read_text(encoding="utf-8")
    parts = {name: {frozenset(edge) for edge in edges} for name, edges in json.loads(text).items()}
    oval = parts.pop("face_oval")
    whole = set().union(*parts.values())
    own = {frozenset((i, j)) for i, j, _ in mesh_style.EDGES}
    assert whole <= own and own - whole <= oval and len(own - whole) == 26


def test_mesh_outside_the_picture_and_wrong_shape() -> None:
    pose = still_person(2)
    mesh = np.full((2, 468, 2), np.nan)
    mesh[1] = 40.0
    assert not skeleton.draw(pose, (64, 48), "aniportrait", mesh).any()
    with pytest.raises(ValueError, match="468"):
        skeleton.draw(pose, (64, 48), "aniportrait", np.zeros((2, 478, 2)))
    with pytest.raises(ValueError, match="frames"):
        skeleton.draw(pose, (64, 48), "aniportrait", mesh[:1])
    with pytest.raises(InputError, match="`audio2pose`"):
        skeleton.draw(pose, (64, 48), "aniportrait")


def test_published_colors_and_plain_colors_are_not_mixed() -> None:
    """Neck to nose is red in the published picture, whose channels are reversed, and blue
    otherwise."""
    pose = still_person()
    pose = Pose(pose.body, Keypoints.missing(1, HANDS), Keypoints.missing(1, FACE), 25, pose.size)
    middle = (int(0.27 * 768), 256)
    published = skeleton.draw(pose, (768, 512), "controlnext")[0][middle]
    plain = skeleton.draw(pose, (768, 512), "openpose")[0][middle]
    assert tuple(plain) == (0, 0, 153) and published[0] > 100 and not published[1:].any()


@pytest.mark.parametrize("style", skeleton.STYLES)
def test_missing_points_are_black_and_people_add_up(style: str) -> None:
    size = (96, 64)
    assert not skeleton.draw(Pose.empty(3, 25, size), size, style).any()
    pose = still_person(2)
    alone = skeleton.draw(pose, size, style)
    assert alone.shape == (2, *size, 3) and alone.any()
    assert np.array_equal(skeleton.draw([pose, Pose.empty(2, 25, size)], size, style), alone)


@pytest.mark.parametrize("style", skeleton.STYLES)
def test_stream_reuses_one_buffer(style: str) -> None:
    frames = list(skeleton.stream(still_person(3), (48, 32), style))
    assert all(frame is frames[0] for frame in frames) and len(frames) == 3


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1.0, 1e3, 1e12, np.inf, np.nan]),
    st.sampled_from(skeleton.STYLES),
    st.tuples(st.integers(32, 64), st.integers(32, 64)),
)
def test_far_and_broken_points_never_crash(
    seed: int, far: float, style: str, size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    parts = []
    for k in (BODY, HANDS, FACE):
        xy = rng.normal(0.5, 1, (2, k, 2))
        xy[rng.random((2, k)) < 0.2] *= far
        parts.append(Keypoints(xy, rng.random((2, k))))
    assert skeleton.draw(Pose(*parts, 25, size), size, style).shape == (2, *size, 3)


def test_a_limb_that_leaves_the_picture_is_drawn_to_the_edge() -> None:
    pose = still_person()
    xy = pose.body.xy.copy()
    xy[0, 4] = (-7.0, 0.45)  # right wrist far to the left at the elbow's height
    drawn = skeleton.draw(
        Pose(Keypoints(xy, pose.body.score), pose.hands, pose.face, 25, pose.size), (384, 256)
    )
    assert drawn[0, int(0.45 * 384), 0].any()


def test_preview_moves_by_fractions_of_a_pixel() -> None:
    """The centre of brightness follows the points, so small mouth and head motion is in the
    picture."""
    size = (384, 256)
    pose = still_person()
    centres = []
    for shift in (0.0, 0.25, 0.5):
        step = (shift / size[1], 0)
        moved = Pose(
            *(Keypoints(p.xy + step, p.score) for p in (pose.body, pose.hands, pose.face)), 25, size
        )
        light = skeleton.draw(moved, size)[0].astype(float).sum(2)
        centres.append((light * np.arange(size[1])).sum() / light.sum())
    assert centres[1] - centres[0] == pytest.approx(0.25, abs=0.08)
    assert centres[2] - centres[0] == pytest.approx(0.5, abs=0.08)


def test_preview_shows_all_face_dots_and_an_opening_mouth() -> None:
    size = (384, 256)
    pose = still_person()
    angle = np.linspace(0, 2 * np.pi, FACE, endpoint=False)
    circle = np.stack([0.5 + 0.3 * np.cos(angle), 0.5 + 0.2 * np.sin(angle)], 1)[
        None
    ]  # dots 6 pixels apart
    face = Keypoints(circle, np.ones((1, FACE)))
    dots = skeleton.draw(
        Pose(Keypoints.missing(1, BODY), Keypoints.missing(1, HANDS), face, 25, size), size
    )[0]
    rows, cols = np.rint(circle[0] * (size[1], size[0]) - 0.5).astype(int).T[::-1]
    assert (dots[rows, cols].min(1) > 90).all()
    openings = []
    for gap in (0.003, 0.006, 0.012):
        xy = pose.face.xy.copy()
        xy[0, 60:68, 1] = 0.23 + (xy[0, 60:68, 1] - 0.23) * gap / 0.006
        xy[0, 48:60, 1] = 0.23 + (xy[0, 48:60, 1] - 0.23) * 2
        drawn = skeleton.draw(
            Pose(pose.body, pose.hands, Keypoints(xy, pose.face.score), 25, pose.size), size
        )
        openings.append(int((drawn[0, 78:100, 127:129].max(2) < 60).sum()))
    assert openings[0] < openings[1] < openings[2]


@pytest.mark.parametrize("bad", ["style", "size", "none", "lengths"])
def test_refusals_are_one_sentence(bad: str) -> None:
    pose = still_person()
    calls = {
        "style": lambda: skeleton.draw(pose, (8, 8), "neon"),
        "size": lambda: skeleton.draw(pose, (0, 8)),
        "none": lambda: skeleton.draw([], (8, 8)),
        "lengths": lambda: skeleton.draw([pose, still_person(2)], (8, 8)),
    }
    with pytest.raises(ValueError) as error:
        calls[bad]()
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_preview_speed_on_a_quiet_core() -> None:
    """250 frames at 512x768 take 10 units."""
    pose = still_person(250)
    assert units(lambda: list(skeleton.stream(pose, (768, 512))), rounds=2) <= 25
