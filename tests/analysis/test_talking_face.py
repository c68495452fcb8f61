"""A speech network's prediction on the reference's own face: both kinds through the same
pipeline."""

import numpy as np
import pytest
import skimage.data

from pipeline.analysis import analyse, covered_mouth, detectors, talking_face
from pipeline.analysis.detectors.face_mesh import detect_face_mesh
from pipeline.analysis.talking_face import TalkingFace, put_on_face
from pipeline.models.aniportrait import Audio2Mesh, MeshMotion
from pipeline.motion import face_mesh, skeleton
from pipeline.motion.gestures.head import HeadMotion
from pipeline.motion.refocus import refocus
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.values import Keypoints, Pose
from tests.helpers.aniportrait_files import write
from tests.helpers.stick_person import figure
from tests.helpers.tiny import speech, tiny_pipeline


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return skimage.data.astronaut()


@pytest.fixture(scope="module")
def person(photo) -> Pose:
    return detectors.load("holistic").image(photo).people[0]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return write(tmp_path_factory.mktemp("aniportrait"))


@pytest.fixture(scope="module")
def pipe(paths, tmp_path_factory):
    """The tiny pipeline with AniPortrait's network in the place of the embedded one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APV_CACHE", str(tmp_path_factory.mktemp("cache")))
        made = tiny_pipeline()
        made.register_modules(audio2pose=Audio2Mesh.from_published(paths))
        yield made


def still(frames: int) -> HeadMotion:
    return HeadMotion(
        np.zeros((frames, 3)), np.zeros((frames, 2)), np.zeros(frames), np.zeros(frames)
    )


def moved(frames: int, offsets: np.ndarray | float) -> MeshMotion:
    return MeshMotion(
        np.broadcast_to(offsets, (frames, 468, 3)).astype(np.float32),
        np.zeros((frames, 1, 8), np.float32),
    )


def test_the_detectors_mesh_agrees_with_its_68_points(photo, person):
    found = detect_face_mesh(photo, person.face)
    assert found.shape == (478, 3)
    tall = np.ptp(person.face.xy[0, :, 1]) * photo.shape[0]
    apart = np.linalg.norm(
        (face_mesh.face68(found)[:, :2] - person.face.xy[0]) * photo.shape[1::-1], axis=1
    )
    assert apart.mean() < 0.03 * tall


def test_no_mesh_is_taken_from_where_nobody_or_somebody_else_is(photo, person):
    elsewhere = Keypoints(person.face.xy * 0.3 + 0.65, person.face.score)
    assert detect_face_mesh(photo, elsewhere) is None
    assert detect_face_mesh(photo, Keypoints.missing(1, 68)) is None
    beside = Keypoints(person.face.xy + (0.09, 0.0), person.face.score)  # half a face away
    assert detect_face_mesh(photo, beside) is None
    outside = Keypoints(person.face.xy - 3, person.face.score)
    assert detect_face_mesh(photo, outside) is None


@pytest.mark.parametrize("seen", ["picture", "points"])
def test_what_does_not_move_stays_and_what_moves_is_in_place(photo, person, seen):
    picture = photo if seen == "picture" else None
    quiet = put_on_face(moved(2, 0.0), person, still(2), 1.0, picture)
    assert isinstance(quiet, TalkingFace) and quiet.mesh.shape == (2, 468, 2)
    assert np.abs(quiet.points.xy - person.face.xy).max() < 1e-9
    chin = np.zeros((468, 3))
    chin[talking_face.geometry().vertices[:, 1] < -6] = (0, -1, 0)  # 1 cm down
    for amplitude in (1.0, 0.5):
        said = put_on_face(moved(2, chin), person, still(2), amplitude, picture)
        shift = (said.points.xy - person.face.xy)[0] * photo.shape[1::-1]
        tall = np.ptp(person.face.xy[0, :, 1]) * photo.shape[0]  # 11 to 14 cm
        assert 0.05 < shift[8, 1] / tall / amplitude < 0.12
        assert np.abs(shift[17:48]).max() < 1e-9
    assert np.array_equal(said.points.score, np.repeat(person.face.score, 2, 0))


def test_blinks_reach_the_mesh_and_the_points(photo, person):
    head = HeadMotion(np.zeros((2, 3)), np.zeros((2, 2)), np.array([0, 1.0]), np.zeros(2))
    said = put_on_face(moved(2, 0.0), person, head, 1.0, photo)
    gap = said.points.xy[:, 41, 1] - said.points.xy[:, 37, 1]
    lids = said.mesh[:, 144, 1] - said.mesh[:, 160, 1]
    assert gap[1] < 0.6 * gap[0] and lids[1] < 0.3 * lids[0]


def test_where_no_mesh_is_found_the_68_points_do(photo, person, monkeypatch, caplog):
    monkeypatch.setattr(talking_face, "detect_face_mesh", lambda *_: None)
    said = put_on_face(moved(1, 0.0), person, still(1), 1.0, photo)
    assert "guessed from its 68 points" in caplog.text
    assert np.abs(face_mesh.face68(said.mesh[0].astype(float)) - person.face.xy[0]).max() < 0.01


def test_wrong_values_are_refused(person):
    with pytest.raises(ValueError, match="amplitude"):
        put_on_face(moved(1, 0.0), person, still(1), -1.0, None)
    with pytest.raises(TypeError, match="type str"):
        put_on_face("a", person, still(1), 1.0, None)


def test_the_pipeline_speaks_with_aniportrait(pipe, photo):
    motion = pipe.prepare_motion(photo, speech(1.0), figure(25))
    assert motion.mesh.shape == (25, 468, 2) and motion.audio_tokens.shape == (25, 1, 32)
    assert np.ptp(motion.pose.face.xy[:, 48:68], axis=0).max() > 0
    seen = motion.pose.face.visible.all(1)
    assert seen.any() and np.isfinite(motion.mesh[seen]).all()
    # the mesh lies where the spliced face lies
    off = (face_mesh.face68(motion.mesh.astype(float)) - motion.pose.face.xy)[seen]
    box = np.ptp(motion.pose.face.xy[seen], axis=1)[:, None]
    assert (np.abs(off) / box).mean() < 0.05
    drawn = skeleton.draw(motion.pose, (96, 64), "aniportrait", motion.mesh)
    assert drawn[seen].any((1, 2, 3)).all()


def test_without_driving_the_mesh_turns_with_the_head(pipe, photo):
    motion = pipe.prepare_motion(photo, speech(2.0))
    off = face_mesh.face68(motion.mesh.astype(float)) - motion.pose.face.xy
    assert (np.abs(off) / np.ptp(motion.pose.face.xy, axis=1)[:, None]).mean() < 0.03


def test_the_slider_moves_mesh_and_face_alike(pipe, photo):
    motion = pipe.prepare_motion(photo, speech(2.0), figure(50))
    strong = refocus(motion, 2.0)
    assert refocus(motion, 0.0).mesh is motion.mesh
    before, after = (
        face_mesh.face68(m.mesh.astype(float)) - m.pose.face.xy for m in (motion, strong)
    )
    assert np.nanmax(np.abs(after - before)) < 0.01
    assert strong.mesh.dtype == motion.mesh.dtype


def test_the_embedded_network_knows_no_mesh(photo, tmp_path, monkeypatch):
    monkeypatch.setenv("APV_CACHE", str(tmp_path))
    motion = tiny_pipeline().prepare_motion(photo, speech(0.5), figure(10))
    assert motion.mesh is None and refocus(motion, 1.0).mesh is None


def test_a_saved_pipeline_comes_back_with_aniportrait(pipe, tmp_path):
    pipe.save_pretrained(tmp_path)
    again = AudioPoseSVDPipeline.from_pretrained(tmp_path, local_files_only=True)
    assert type(again.audio2pose) is Audio2Mesh
    one, two = (p.audio2pose.predict(speech(1.0), 25, 25).offsets for p in (pipe, again))
    assert np.abs(one - two).max() < 1e-4


def test_a_mesh_under_cloth_moves_with_the_jaw_and_does_not_open(photo, person):
    offsets = np.random.default_rng(0).normal(0, 0.3, (6, 468, 3))
    below = talking_face.geometry().vertices[:, 1] < talking_face.geometry().vertices[13, 1]
    offsets[:, below, 1] -= np.linspace(0, 3, 6)[:, None]  # centimeters: the lower jaw goes down
    prediction = MeshMotion(offsets.astype(np.float32), np.zeros((6, 1, 8), np.float32))
    talking = put_on_face(prediction, person, still(6), 1.0, photo)
    covered = analyse.put_under(covered_mouth.Cover(is_cloth=True), talking, person)

    def openings(mesh: np.ndarray) -> np.ndarray:
        return np.linalg.norm(mesh[:, 13] - mesh[:, 14], axis=1)

    height = np.ptp(person.face.xy[0, :, 1])
    assert np.ptp(openings(talking.mesh)) > 0.1 * height
    rest = np.linalg.norm(talking.rest_mesh[13] - talking.rest_mesh[14])
    assert np.allclose(openings(covered.mesh), rest, atol=1e-3 * height)
    assert np.allclose(face_mesh.face68(covered.mesh)[:, 48:], covered.points.xy[:, 48:], atol=0.01)
    chin = covered.mesh[:, 152] - talking.rest_mesh[152]
    free = talking.mesh[:, 152] - talking.rest_mesh[152]
    assert np.allclose(chin, covered_mouth.CLOTH_JAW * free, atol=1e-6)
    brow = 105
    assert np.allclose(covered.mesh[:, brow], talking.mesh[:, brow])
    assert np.allclose(covered.mesh_at(covered.points), covered.mesh, atol=1e-5)


def test_a_pipeline_with_aniportrait_keeps_cloth_over_the_mouth_shut(pipe, photo, monkeypatch):
    def gap(motion) -> np.ndarray:
        """Return the gap of the lips over the mesh's height, for each frame."""
        lips = np.linalg.norm(motion.mesh[:, 13] - motion.mesh[:, 14], axis=1)
        height = np.linalg.norm(motion.mesh[:, 10] - motion.mesh[:, 152], axis=1)
        return lips / height

    bare = gap(pipe.prepare_motion(photo, speech(1.0)))
    cloth = covered_mouth.Cover(is_cloth=True)
    monkeypatch.setattr(covered_mouth, "find_cover", lambda *_: cloth)
    covered = gap(pipe.prepare_motion(photo, speech(1.0)))
    assert np.ptp(covered) < 0.2 * np.ptp(bare)
