import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.motion import keypoints, retarget, skeleton, timing
from pipeline.motion.retarget import similarity
from pipeline.values import BODY, FACE, HANDS, Keypoints, Pose
from tests.helpers.people import person
from tests.helpers.stick_person import still_person


def joined(poses: list[Pose]) -> Pose:
    """Poses one after another."""
    parts = {}
    for name in ("body", "hands", "face"):
        kinds = [getattr(pose, name) for pose in poses]
        parts[name] = Keypoints(
            np.concatenate([k.xy for k in kinds]), np.concatenate([k.score for k in kinds])
        )
    return Pose(**parts, fps=poses[0].fps, size=poses[0].size)


def placed(pose: Pose, scale: float, offset: tuple[float, float], size: tuple[int, int]) -> Pose:
    """The same person in another picture: pixels scaled, then moved by fractions of the new
    picture."""
    gain = scale * np.array([pose.size[1] / size[1], pose.size[0] / size[0]])
    return similarity.apply_fit(pose, gain, np.array(offset), size)


def walking(frames: int = 50) -> Pose:
    pose = still_person(frames)
    step = np.stack([0.05 * np.sin(np.arange(frames) / 5), np.zeros(frames)], 1)[:, None]
    return Pose(
        *(Keypoints(p.xy + step, p.score.copy()) for p in (pose.body, pose.hands, pose.face)),
        25,
        pose.size,
    )


def test_published_alignment_and_pictures(data) -> None:
    with np.load(data / "pose_alignment.npz") as file:
        frame, size = (tuple(int(v) for v in file[k]) for k in ("frame_size", "ref_size"))
        reference = person(file, "ref", size)
        people = [[], []]
        for t in file["frame_ids"]:
            count = len(file[f"f{t}_faces"])
            for k in range(2):
                people[k].append(
                    person(file, f"f{t}", frame, k) if k < count else Pose.empty(1, 25, frame)
                )
        tracks = [joined(rows) for rows in people]
        a, b = similarity.published_fit(tracks, reference)
        assert np.abs(a / file["a"] - 1).max() <= 1e-9 and np.abs(b / file["b"] - 1).max() <= 1e-9
        mapped = [similarity.apply_fit(track, a, b, size) for track in tracks]
        drawn = skeleton.draw(mapped, size, "controlnext")
        # OpenCV 5.0 made the record and is met exactly. It clips a hand's line, (2173, 1912) to
        # (2131, 1879), at the canvas's border, x = 2160, before it gives it its width; 4.11 does
        # not: 11 of the canvas's pixels are others and, made 11.25 times smaller, this one of
        # 245,760, by 53 grey levels.
        different = np.argwhere((drawn != file["images"]).any(3)).tolist()
        assert different == [] or (cv2.__version__ < "5" and different == [[1, 168, 191]])
        own = skeleton.draw(reference, size, "controlnext")[0]
        assert np.array_equal(own, file["ref_image_pose"])


def test_published_alignment_needs_one_person() -> None:
    with pytest.raises(ValueError, match="exactly one person"):
        similarity.published_fit([Pose.empty(3, 25, (64, 64))], still_person())


@pytest.mark.parametrize("size", [(384, 256), (1080, 1920), (512, 512)])
@pytest.mark.parametrize("scale", [0.4, 1.0, 1.7])
def test_the_same_person_elsewhere_comes_back_to_its_place(size, scale) -> None:
    reference = still_person()
    driving = placed(still_person(5), scale, (0.1, -0.2), size)
    out, report = retarget.retarget([driving], reference)
    assert out.size == reference.size and len(out) == 5 and out.fps == 25
    for name in ("body", "hands", "face"):
        assert np.abs(getattr(out, name).xy - getattr(reference, name).xy).max() < 1e-9
        assert np.array_equal(getattr(out, name).score, getattr(driving, name).score)
    assert report.scale == pytest.approx(size[0] / (scale * 384))
    assert list(report.bone_ratios.values()) == pytest.approx([1 / scale] * 9)


def test_a_big_head_gets_the_reference_face_size_and_stays_on_its_neck() -> None:
    reference, driving = still_person(), walking()
    neck = driving.body.xy[:, 1:2]
    body = driving.body.xy.copy()
    body[:, keypoints.HEAD_POINTS] = neck + 1.6 * (body[:, keypoints.HEAD_POINTS] - neck)
    face = neck + 1.6 * (driving.face.xy - neck)
    big = Pose(
        Keypoints(body, driving.body.score),
        driving.hands,
        Keypoints(face, driving.face.score),
        25,
        driving.size,
    )
    out, report = retarget.retarget([big], reference)
    heights = np.ptp(out.face.xy[..., 1], axis=1)
    assert np.allclose(heights, np.ptp(reference.face.xy[0, :, 1]))
    over = out.face.xy[:, 27] - out.body.xy[:, 1]
    assert np.allclose(over, reference.face.xy[0, 27] - reference.body.xy[0, 1])
    assert report.bone_ratios["face"] == pytest.approx(1 / 1.6)
    assert report.bone_ratios["shoulders"] == pytest.approx(1) and report.scale == pytest.approx(1)


def test_a_portrait_without_hips_and_a_face_alone_are_aligned() -> None:
    driving = placed(walking(), 1.5, (0.0, 0.1), (512, 512))
    bust = still_person()
    bust.body.score[0, [*range(3, 5), *range(6, 14)]] = 0
    out, _ = retarget.retarget([driving], bust)
    assert np.allclose(np.median(out.body.xy[:, 1], axis=0), bust.body.xy[0, 1], atol=1e-6)
    bust.body.score[:] = 0
    out, report = retarget.retarget([driving], bust)
    assert np.allclose(np.median(out.face.xy, axis=0), bust.face.xy[0], atol=1e-6)
    assert not any("nothing was aligned" in note for note in report.warnings)


def test_no_common_joints_fall_back_to_identity_with_a_sentence() -> None:
    driving, reference = walking(), still_person()
    driving.face.score[:] = 0
    driving.body.score[:, :8] = 0
    reference.body.score[:, 8:14] = 0
    reference.body.score[:, 14:] = 0
    driving.body.score[:, 14:] = 0
    out, report = retarget.retarget([driving], reference)
    assert np.array_equal(out.body.xy[:, 8:14], driving.body.xy[:, 8:14]) and report.scale == 1
    assert any("nothing was aligned" in note for note in report.warnings)


def test_the_largest_person_who_stays_is_taken_and_named() -> None:
    small = placed(walking(), 0.4, (0.3, 0.3), (384, 256))
    brief = placed(walking(), 1.2, (-0.1, -0.1), (384, 256))
    brief.body.score[5:] = 0
    _, report = retarget.retarget([small, brief, walking()], still_person())
    assert (report.people, report.chosen) == (3, 2)
    assert any("3 people" in note and "number 3" in note for note in report.warnings)


def test_the_report_says_what_a_user_must_know() -> None:
    driving = placed(walking(), 0.2, (0.3, 0.3), (384, 256))
    driving.face.score[:10] = 0
    driving.hands.score[:25] = 0
    reference = placed(still_person(), 0.5, (0.67, 0.1), (384, 256))
    out, report = retarget.retarget([driving], reference)
    assert report.faceless == pytest.approx(0.2) and report.handless == pytest.approx(0.5)
    text = " ".join(report.warnings)
    for part in ("20%", "50%", "visible lips", "scaled by 2.5", "outside the frame"):
        assert part in text
    assert all(note.endswith(".") and "\n" not in note for note in report.warnings)
    assert json.loads(json.dumps(report.to_dict()))["people"] == 1
    good, report = retarget.retarget([walking()], placed(still_person(), 2.0, (0, 0), (768, 512)))
    assert not report.warnings and 80 < report.face_height < 130


def test_an_empty_clip_stays_empty_and_says_so() -> None:
    out, report = retarget.retarget([Pose.empty(4, 25, (64, 48))], still_person())
    assert len(out) == 4 and not out.body.score.any() and report.absent == 1
    assert any("no person" in note for note in report.warnings)
    with pytest.raises(ValueError, match="at least one"):
        retarget.retarget([], still_person())


def test_gaps_are_filled_up_to_their_limits_only() -> None:
    pose = walking(60)
    moved = walking(60)
    moved.face.score[10:22] = 0  # 12 frames, 0.48 s
    moved.face.score[30:43] = 0.1  # 13 frames, 0.52 s
    moved.body.score[20:25, 4] = 0.2  # 5 frames, 0.2 s
    moved.body.score[40:46, 4] = 0  # 6 frames
    moved.hands.score[:3] = 0  # nothing before it to start from
    moved.body.xy[20:25, 4] = 7
    out = timing.fill_gaps(moved)
    assert out.face.visible[10:22].all() and not out.face.visible[30:43].any()
    assert out.body.visible[20:25, 4].all() and not out.body.visible[40:46, 4].any()
    assert not out.hands.visible[:3].any()
    assert np.abs(out.body.xy[20:25, 4] - pose.body.xy[20:25, 4]).max() < 0.01
    again = timing.fill_gaps(pose)
    assert np.array_equal(again.face.xy, pose.face.xy) and np.array_equal(
        again.body.score, pose.body.score
    )


def test_resampling_keeps_time() -> None:
    pose = walking(60)
    assert timing.resample(pose, 25).body.xy is pose.body.xy
    for fps in (16, 30, 50):
        out = timing.resample(pose, fps)
        assert out.fps == fps and abs(len(out) / fps - 60 / 25) <= 0.5 / fps
        seconds = (np.arange(len(out)) + 0.5) / fps
        wanted = np.interp(seconds, (np.arange(60) + 0.5) / 25, pose.body.xy[:, 0, 0])
        assert np.allclose(out.body.xy[:, 0, 0], wanted)
    with pytest.raises(ValueError, match="frame rate"):
        timing.resample(pose, 0)


def test_pingpong_is_smooth_and_never_stands_still() -> None:
    pose = still_person(40)
    pose.body.xy[:, 4, 0] = np.arange(40) / 100
    x = timing.fit_length(pose, 200).body.xy[:, 4, 0] * 100
    assert np.allclose(x[:30], np.arange(30))
    speed = np.diff(x)
    assert (np.abs(speed) > 0.05).all() and np.abs(speed).max() <= 1 + 1e-9
    assert np.abs(np.diff(speed)).max() <= 0.25  # an abrupt turn would be 2
    assert x.max() > 36 and x[40:].min() < 3


@pytest.mark.parametrize("how", ["pingpong", "loop", "hold"])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 40])
def test_lengths_are_exact_and_finite(how: str, length: int) -> None:
    pose = walking(length)
    for frames in (1, length, length + 1, 5 * length + 3):
        out = timing.fit_length(pose, frames, how)
        assert len(out) == frames and np.isfinite(out.body.xy).all()
        assert np.array_equal(out.body.xy[0], pose.body.xy[0])
    assert np.array_equal(timing.fit_length(pose, length, how).face.xy, pose.face.xy)


def test_a_loop_has_no_jump() -> None:
    pose = still_person(50)
    pose.body.xy[:, 4, 0] = np.arange(50) / 50
    jump = np.abs(np.diff(timing.fit_length(pose, 200, "loop").body.xy[:, 4, 0])).max()
    assert jump < 0.2  # the clip's end and beginning are 0.98 apart


def test_trim_refuses_a_short_clip_and_hold_stands_still() -> None:
    with pytest.raises(ValueError, match="longer clip"):
        timing.fit_length(walking(10), 11, "trim")
    with pytest.raises(ValueError, match="unknown way"):
        timing.fit_length(walking(10), 11, "stretch")
    out = timing.hold(still_person(), 7, 30)
    assert len(out) == 7 and out.fps == 30 and not np.diff(out.body.xy, axis=0).any()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 8),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(1, 3),
)
def test_any_pose_gives_finite_points_and_plain_sentences(
    seed, frames, share, shown, count
) -> None:
    rng = np.random.default_rng(seed)

    def random_pose(length: int, part: float) -> Pose:
        kinds = []
        for k in (BODY, HANDS, FACE):
            score = rng.random((length, k)) * (rng.random((length, k)) < part)
            kinds.append(
                Keypoints(rng.normal(0.5, 10 ** rng.uniform(-6, 0.5), (length, k, 2)), score)
            )
        return Pose(*kinds, 25, (int(rng.integers(64, 999)), int(rng.integers(64, 999))))

    people = [timing.fill_gaps(random_pose(frames, share)) for _ in range(count)]
    reference = random_pose(1, shown)
    out, report = retarget.retarget(people, reference)
    for points in (out.body, out.hands, out.face):
        assert np.isfinite(points.xy).all() and points.score.min() >= 0 and points.score.max() <= 1
    assert out.size == reference.size and len(out) == frames
    json.dumps(report.to_dict(), allow_nan=False)
    assert all("nan" not in note for note in report.warnings)


def test_real_poses_land_on_the_reference(shared) -> None:
    """EchoMimic's half-body DWPose clips onto each other's first frame in a portrait picture."""
    clips = []
    for path in sorted((shared / "media" / "pose").glob("echomimic_v2_dwpose_*.npz")):
        with np.load(path) as file:
            frames = len(file["candidate"])
            kinds = {
                "body": (file["candidate"], file["body_score"][:, 0]),
                "hands": (
                    file["hands"].reshape(frames, HANDS, 2),
                    file["hands_score"].reshape(frames, HANDS),
                ),
                "face": (file["faces"][:, 0], file["faces_score"][:, 0]),
            }
        parts = {
            n: Keypoints(xy.astype(float), np.clip(s, 0, 1).astype(float))
            for n, (xy, s) in kinds.items()
        }
        clips.append(Pose(**parts, fps=25, size=(768, 768)))
    assert clips
    for driving in clips:
        for other in clips:
            reference = placed(other[:1], 1.2, (-0.1, 0.15), (1152, 768))
            out, report = retarget.retarget([timing.fill_gaps(driving)], reference)
            neck = np.median(out.body.xy[:, 1], axis=0) - reference.body.xy[0, 1]
            assert np.abs(neck).max() < 0.05
            height = np.median(np.ptp(out.face.xy[..., 1], axis=1)) / np.ptp(
                reference.face.xy[0, :, 1]
            )
            assert 0.9 < height < 1.1 and 0.6 < report.scale < 1


@pytest.mark.parametrize("how", timing.LENGTHS)
def test_positions_are_those_of_the_fitted_pose(how: str) -> None:
    """A point that moves one unit a frame reads off the frame; a loop's cross-fades lie in
    between."""
    length, frames = 40, 30 if how == "trim" else 130
    clock = Pose.empty(length, 25, (64, 64))
    clock.body.xy[:] = np.arange(length)[:, None, None]
    clock.body.score[:] = 1
    read_off = timing.fit_length(clock, frames, how).body.xy[:, 0, 0]
    positions = timing.positions(length, frames, how, 25)
    fading = np.abs(np.diff(positions, prepend=0)) > 1.0
    plain = ~np.convolve(fading, np.ones(9), "same").astype(bool)
    assert positions.shape == (frames,) and (positions >= 0).all() and (positions < length).all()
    assert plain.sum() >= 0.7 * frames and np.allclose(positions[plain], read_off[plain], atol=1e-9)
    assert how == "loop" or np.allclose(positions, read_off, atol=1e-9)
