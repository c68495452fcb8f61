"""The offline detector on a public-domain portrait, on drawings, and on the shared media where
present."""

import subprocess
import sys
from collections.abc import Generator

import numpy as np
import pytest

from pipeline.analysis import detectors
from pipeline.analysis.detectors import detection, left_right, skeleton_check
from pipeline.analysis.detectors.detection import Sighting, rank
from pipeline.values import Detection, Video

DEGREE_COLORS = [
    (255, 0, 0),
    (255, 170, 0),
    (170, 255, 0),
    (0, 255, 0),
    (0, 255, 170),
    (0, 170, 255),
]


@pytest.fixture(scope="module")
def detector() -> detectors.Detector:
    return detectors.load("holistic")


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    """512 x 512; her eyes lie near (203, 102) and (247, 104), her mouth near (223, 144)."""
    return pytest.importorskip("skimage.data").astronaut()


@pytest.fixture(scope="module")
def portrait(detector, astronaut) -> Detection:
    return detector.image(astronaut)


def run(generator: Generator[int, None, Detection]) -> tuple[list[int], Detection]:
    steps = []
    while True:
        try:
            steps.append(next(generator))
        except StopIteration as stop:
            return steps, stop.value


def small(picture: np.ndarray, step: int = 2) -> np.ndarray:
    return np.ascontiguousarray(picture[::step, ::step])


def skeleton(size: tuple[int, int] = (256, 192)) -> np.ndarray:
    import cv2

    picture = np.zeros((*size, 3), np.uint8)
    for i, color in enumerate([*DEGREE_COLORS, (0, 0, 255), (170, 0, 255), (255, 0, 170)]):
        cv2.line(picture, (96, 60), (20 + 18 * i, 200), color, 4)
    return picture


def test_the_astronaut_is_one_person_with_a_face_in_its_place(portrait):
    (pose,) = portrait.people
    assert portrait.notes == () and len(pose) == 1 and pose.size == (512, 512)
    face = pose.face.xy[0] * 512
    assert (pose.face.score == 1).all()
    right, left = (
        face[36:42].mean(0),
        face[42:48].mean(0),
    )  # the person's right is left in the picture
    assert np.abs(right - (203, 102)).max() < 6 and np.abs(left - (247, 104)).max() < 6
    assert np.abs(face[48:60].mean(0) - (223, 144)).max() < 8
    assert (
        face[8, 1] > face[57, 1] > face[51, 1] > face[30, 1] > face[27, 1]
    )  # chin to bridge, bottom up
    assert (np.diff(face[:17, 0]) > 0).all()  # the jaw runs from the person's right to left


def test_body_agrees_with_the_face_and_the_neck_rule(portrait):
    body, face = portrait.people[0].body, portrait.people[0].face.xy[0]
    assert np.allclose(body.xy[0, 0], face[30]) and np.allclose(body.xy[0, 15], face[42:48].mean(0))
    assert np.allclose(body.xy[0, 1], (body.xy[0, 2] + body.xy[0, 5]) / 2) and body.score[0, 1] == 1
    assert body.xy[0, 2, 0] < body.xy[0, 5, 0]
    outside = ((body.xy < 0) | (body.xy > 1)).any(-1)
    assert not body.score[outside].any()


def test_points_outside_the_picture_are_missing_but_keep_their_places():
    points = np.array([[0.5, 0.5, 0.9], [0.5, 1.1, 0.9], [-0.2, 0.5, 0.9]])
    kept = detection.in_picture(points)
    assert np.array_equal(kept[:, :2], points[:, :2]) and kept[:, 2].tolist() == [0.9, 0, 0]
    assert points[1, 2] == 0.9  # the caller's array is left alone


def test_the_mask_cuts_the_person_out(portrait, astronaut):
    (mask,) = portrait.masks
    assert mask.shape == astronaut.shape[:2] and mask.dtype == np.float32
    assert mask.min() >= 0 and mask.max() <= 1
    assert mask[90:170, 190:260].mean() > 0.97 and mask[:60, 430:].max() < 0.1


def test_a_mirrored_picture_gives_the_mirrored_face(detector, portrait, astronaut):
    mirrored = detector.image(np.ascontiguousarray(astronaut[:, ::-1])).people[0].face.xy[0]
    back = np.stack([1 - mirrored[:, 0], mirrored[:, 1]], 1)
    height = np.ptp(portrait.people[0].face.xy[0, :, 1])
    assert (
        np.linalg.norm(back[:17][::-1] - portrait.people[0].face.xy[0, :17], axis=1).mean()
        < 0.05 * height
    )


def test_fractions_hold_for_a_small_figure_in_a_corner(detector, portrait, astronaut):
    wide = np.full((720, 1280, 3), 128, np.uint8)
    wide[464:720, 1000:1256] = small(astronaut)
    (pose,) = detector.image(wide).people
    face = (pose.face.xy[0] * (1280, 720) - (1000, 464)) / 256
    height = np.ptp(portrait.people[0].face.xy[0, :, 1])
    assert np.linalg.norm(face - portrait.people[0].face.xy[0], axis=1).mean() < 0.05 * height


def test_two_people_are_counted_and_the_larger_comes_first(detector, astronaut):
    pair = np.full((512, 800, 3), 128, np.uint8)
    pair[256:, :256], pair[:, 288:] = small(astronaut), astronaut
    found = detector.image(pair)
    assert len(found.people) == len(found.masks) == 2
    assert "2 people" in found.notes[0]
    first, second = (person.face.xy[0, :, 0].mean() for person in found.people)
    assert first > 0.5 > second


def test_nobody_and_a_cat_are_no_person(detector):
    data = pytest.importorskip("skimage.data")
    for picture in (data.chelsea(), data.coffee(), np.full((300, 200, 3), 77, np.uint8)):
        with pytest.raises(ValueError, match="no person found in the picture"):
            detector.image(picture)


def test_a_person_without_face_is_found_and_noted(detector, astronaut):
    import cv2

    hidden = astronaut.copy()
    hidden[75:190, 165:285] = cv2.GaussianBlur(hidden[75:190, 165:285], (0, 0), 12)
    found = detector.image(hidden)
    assert not found.people[0].face.score.any()
    assert "face is not visible" in found.notes[0]


def test_a_skeleton_has_its_own_sentence(detector, astronaut):
    with pytest.raises(ValueError, match="already drawn skeleton"):
        detector.image(skeleton())
    steps, found = run(detector.video(Video(np.stack([skeleton()] * 4), 25.0)))
    assert found.people == () and "already drawn skeleton" in found.notes[0]
    night = (astronaut * 0.12).astype(np.uint8)
    assert not skeleton_check.is_skeleton(night) and not skeleton_check.is_skeleton(
        np.zeros((64, 64, 3), np.uint8)
    )


def test_wrong_arrays_are_refused(detector):
    for wrong in (
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 3)),
    ):
        with pytest.raises(ValueError, match="RGB picture"):
            detector.image(wrong)


def test_a_clip_is_followed_lost_and_found_again(detector, astronaut):
    """She drifts to the right, is gone for six frames, and comes back."""
    scene = small(astronaut)
    frames = np.full((24, 256, 320, 3), 128, np.uint8)
    for t, frame in enumerate(frames):
        if not 8 <= t < 14:
            frame[:, 2 * t : 2 * t + 256] = scene
    steps, found = run(detector.video(Video(iter([frames[:10], frames[10:]]), 25.0)))
    (pose,) = found.people
    seen = pose.face.visible.all(1)
    assert steps == [8, 16, 24] and len(pose) == 24 and pose.fps == 25.0 and pose.size == (256, 320)
    assert seen[:8].all() and not pose.body.score[9:13].any() and seen[17:].all()
    nose = pose.face.xy[:, 30, 0] * 320
    assert nose[7] - nose[1] == pytest.approx(12, abs=3) and nose[23] - nose[17] == pytest.approx(
        12, abs=3
    )


def test_a_clip_without_anybody_is_a_black_skeleton_and_says_so(detector):
    _, found = run(detector.video(Video(np.full((3, 96, 96, 3), 90, np.uint8), 25.0)))
    assert found.people == () and "no person found in the clip" in found.notes[0]


def test_a_clip_without_frames_is_refused(detector):
    with pytest.raises(ValueError, match="no frames"):
        run(detector.video(Video(iter([]), 25.0)))


def test_a_closed_clip_stops_at_once(detector, astronaut):
    decoded = []

    def chunks():
        for _ in range(4):
            decoded.append(1)
            yield np.stack([small(astronaut)] * 8)

    generator = detector.video(Video(chunks(), 25.0))
    assert next(generator) == 8
    generator.close()
    assert len(decoded) == 1


def test_exchanged_sides_are_put_right():
    rng = np.random.default_rng(0)
    standing = np.concatenate([rng.random((33, 2)) * 200, np.ones((33, 1))], 1)
    guard = left_right.SideGuard()
    for t in range(30):
        points = standing + np.concatenate([rng.normal(0, 0.5, (33, 2)), np.zeros((33, 1))], 1)
        given = points[left_right.OTHER_SIDE] if t >= 20 else points
        order = guard.order(given, 400, frontal=False)
        assert np.array_equal(given[order], points)
    assert np.array_equal(guard.order(standing, 400, frontal=True), np.arange(33))
    between = (standing + standing[left_right.OTHER_SIDE]) / 2
    answers = [guard.order(between, 400, frontal=False) for _ in range(left_right.PATIENCE + 1)]
    assert answers[:-1] == [None] * left_right.PATIENCE and np.array_equal(
        answers[-1], np.arange(33)
    )
    guard.reset()
    assert np.array_equal(
        guard.order(standing[left_right.OTHER_SIDE], 400, frontal=False), np.arange(33)
    )


def test_short_visits_do_not_count():
    person = Sighting(np.ones((18, 3)), np.zeros((42, 3)), np.zeros((68, 3)))
    assert len(rank([{0: person}, dict.fromkeys(range(9), person)], 100, 25.0, (64, 64))) == 1


def test_an_unknown_detector_is_refused():
    with pytest.raises(ValueError, match="holistic, dwpose, openpose"):
        detectors.load("yolo")


def test_without_onnxruntime_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"onnxruntime.*pip install -r requirements\.txt"):
        detectors.load("holistic")


def test_importing_loads_no_onnxruntime(root):
    code = (
        "import sys, pipeline.analysis.detectors.holistic; sys.exit('onnxruntime' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


def test_the_terminal_stays_clean(root, tmp_path):
    """A fresh process says nothing on stderr but what the program itself writes."""
    code = (
        "import sys, numpy as np\n"
        "from pipeline.analysis import detectors\n"
        "try: detectors.load().image(np.full((96, 96, 3), 90, np.uint8))\n"
        "except ValueError as error: print(error, file=sys.stderr)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True
    ).stderr
    assert said.startswith("no person found") and said.count("\n") == 1


REFERENCES = {  # people, face found
    "r01_halfbody_man_synthetic.png": 1,
    "r05_threequarter_woman_synthetic.jpeg": 1,
    "r07_painting_monalisa.png": 1,
    "r08_cartoon_fullbody.png": 1,
    "r09_two_people.png": 2,
    "coco_000000000785.jpg": 1,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCES)
def test_shared_references(detector, shared, name):
    from pipeline.media import read_image

    found = detector.image(read_image(shared / "media" / "reference" / name))
    assert len(found.people) == REFERENCES[name]
    assert found.people[0].face.visible.all()


CLIPS = {  # people, least share of frames with body, face and either hand
    "driving/d01_fullbody_dance_white.mp4": (1, 1.0, 0.95, 0.9),
    "driving/d02_fullbody_ball_outdoor.mp4": (1, 1.0, 0.9, 0.9),
    "driving/d03_kneeup_anime_style.mp4": (1, 1.0, 0.95, 0.95),
    "driving/d04_halfbody_hands_at_face.mp4": (1, 1.0, 0.95, 0.95),
    "driving/d05_hipup_turns_around.mp4": (1, 0.95, 0.75, 0.9),
    "driving/d08_two_people.mp4": (2, 1.0, 0.95, 0.5),
    "talking/grid_bbaf2n.mpg": (1, 1.0, 0.95, 0.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIPS)
def test_shared_clips(detector, shared, name):
    from pipeline.media import read_video

    _, found = run(detector.video(read_video(shared / "media" / name, seconds=4)))
    count, body, face, hands = CLIPS[name]
    assert len(found.people) == count
    pose = found.people[0]
    assert (pose.body.score.max(1) > 0).mean() >= body
    assert pose.face.visible.any(1).mean() >= face
    assert pose.hands.visible.any(1).mean() >= hands


@pytest.mark.slow
def test_a_turn_of_the_head_does_not_exchange_the_arms(detector, shared):
    """The dancer looks away from frame 14 to 22; her sides stay (exchanged, the sign turns)."""
    from pipeline.media import read_video

    _, found = run(
        detector.video(read_video(shared / "media/driving/d05_hipup_turns_around.mp4", seconds=2))
    )
    body = found.people[0].body
    seen = body.visible[:, [2, 5]].all(1)
    assert seen.mean() >= 0.85 and (body.xy[seen, 5, 0] - body.xy[seen, 2, 0] > 0.03).all()


@pytest.mark.slow
def test_shared_skeleton_video(detector, shared):
    from pipeline.media import read_video

    _, found = run(
        detector.video(read_video(shared / "media/pose/p01_openpose_skeleton_video.mp4"))
    )
    assert found.people == () and "already drawn skeleton" in found.notes[0]


@pytest.mark.slow
def test_shared_face_points_against_hand_labels(detector, shared):
    """COCO-WholeBody's labels of the skier: 68 face points within a tenth of her face's height."""
    import json

    from pipeline.media import read_image

    labels = json.loads((shared / "media/reference/coco_test_wholebody.json").read_text())[
        "annotations"
    ]
    truth = np.array(next(a for a in labels if a["image_id"] == 785)["face_kpts"]).reshape(68, 3)
    picture = read_image(shared / "media/reference/coco_000000000785.jpg")
    face = detector.image(picture).people[0].face.xy[0] * picture.shape[1::-1]
    labelled = truth[:, 2] > 0
    apart = np.linalg.norm(face - truth[:, :2], axis=1)[labelled].mean()
    assert apart < 0.1 * np.ptp(truth[labelled, 1])
