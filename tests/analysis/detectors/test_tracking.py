"""Following people through a clip, on synthetic sightings: crossings, hands and faces that
vanish."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.analysis.detectors import holistic, tracking
from pipeline.analysis.detectors.detection import Sighting, prediction_error
from pipeline.analysis.detectors.people import FollowedPerson
from pipeline.analysis.detectors.regions import Region
from pipeline.evaluation.alignment.planted import ADULT, Dance, Person, pose_of, standing
from pipeline.motion import retarget, smoothing, timing
from pipeline.motion.keypoints import MIRROR_BODY
from pipeline.motion.retarget import measures
from pipeline.values import Keypoints, Pose

FRAMES, SIZE = 40, (720, 1280)


def adult(frames: int = 100) -> Pose:
    calm = Dance(*(v[:1].repeat(frames, 0) for v in vars(standing()).values()))
    return pose_of(Person(ADULT, 560, (256, 720), (768, 512)), calm)


def sighting(x: float, height: float = 0.6) -> FollowedPerson:
    """A standing person around x, whose region is their place."""
    body = np.ones((18, 3))
    shape = adult(1).body.xy[0]
    shape = (shape - shape.mean(0)) / np.ptp(shape[:, 1])
    body[:, :2] = shape * height * (0.5, 1) + (x, 0.5)
    region = Region(x * SIZE[1], 0.5 * SIZE[0], 0.3 * SIZE[1])
    return FollowedPerson(body, np.zeros((42, 3)), np.zeros((68, 3)), next_region=region)


def place(region: Region) -> float:
    """The region's place along the picture's width."""
    return region.x / SIZE[1]


def places(pose: Pose) -> np.ndarray:
    """(T,) x of the neck, NaN where out of sight."""
    return np.where(pose.body.visible[:, 1], pose.body.xy[:, 1, 0], np.nan)


def crossing(t: int) -> tuple[float, float]:
    """Two people who walk through each other: their places in frame t."""
    return 0.3 + 0.01 * t, 0.7 - 0.01 * t


def test_openpose_people_who_cross_are_not_exchanged():
    histories: list[dict[int, Sighting]] = []
    for t in range(FRAMES):
        pair = [sighting(x) for x in crossing(t)]
        tracking.join(histories, pair[:: 1 if t % 3 else -1], t)
    assert len(histories) == 2
    starts = sorted(h[0].center()[0] for h in histories)
    assert starts[0] < 0.4 < 0.6 < starts[1]
    for history in histories:
        way = np.array([history[t].center()[0] for t in range(FRAMES)])
        assert np.abs(np.diff(way, 2)).max() < 1e-9  # nobody turns round


def test_the_way_on_is_believed_for_a_while():
    history = {t: sighting(0.1 + 0.02 * t) for t in range(10)}
    assert prediction_error(history, 10, sighting(0.3)) == pytest.approx(0, abs=1e-9)
    assert prediction_error(history, 10, sighting(0.28)) == pytest.approx(0.02)
    assert prediction_error(history, 30, sighting(0.4)) == pytest.approx(
        0, abs=1e-9
    )  # not further than six frames
    assert prediction_error({}, 3, sighting(0.4)) == 0


class World:
    """A clip for the crowd: who stands where in each frame; the nearer person hides the other."""

    def __init__(self, ways: list, hides: float = 0.05) -> None:
        self.ways, self.hides, self.now = ways, hides, 0

    def seen(self) -> list[FollowedPerson]:
        """People in sight, front first; those behind somebody are not."""
        found: list[FollowedPerson] = []
        for way in self.ways:
            x = way(self.now)
            if x is not None and all(abs(x - place(o.next_region)) > self.hides for o in found):
                found.append(sighting(x))
        return found

    def see(self, image, region) -> FollowedPerson | None:
        def distance(person: FollowedPerson) -> float:
            return abs(place(person.next_region) - place(region))

        near = [person for person in self.seen() if distance(person) < 0.08]
        return min(near, key=distance, default=None)

    def people(self, image) -> list[Region]:
        return [person.next_region for person in self.seen()]


@pytest.fixture
def follow(monkeypatch):
    """Function (ways) -> poses that the crowd makes of a `World`."""

    def run(ways: list, frames: int = FRAMES) -> tuple[Pose, ...]:
        world = World(ways)
        follower = SimpleNamespace(see=world.see)
        locator = SimpleNamespace(people=world.people, anywhere=lambda image: [])
        monkeypatch.setattr(holistic, "Follower", lambda *a: follower)
        monkeypatch.setattr(holistic, "Locator", lambda: locator)
        crowd = holistic._Crowd(25.0)
        for world.now in range(frames):
            crowd.follow(np.zeros((*SIZE, 3), np.uint8))
        return crowd.poses(SIZE)

    return run


def test_a_hidden_person_does_not_take_over_the_one_in_front(follow):
    """The one behind was there first; behind the other they are out of sight, and then themselves
    again."""
    front = lambda t: None if t < 6 else crossing(t)[1]  # noqa: E731
    behind = lambda t: crossing(t)[0]  # noqa: E731
    found = follow([front, behind])
    assert len(found) == 2
    for pose in found:
        x = places(pose)
        seen = np.flatnonzero(np.isfinite(x))
        ways = np.array([[crossing(t)[k] for t in seen] for k in (0, 1)])
        errors = np.abs(ways - x[seen]).max(1)
        assert errors.min() < 0.06 and errors.max() > 0.2  # one way all the time, never the other's
        assert np.abs(np.diff(x[seen]) / np.diff(seen)).max() < 0.02


def test_two_who_stay_apart_are_two_all_the_time(follow):
    left, right = follow([lambda t: 0.3, lambda t: 0.7])
    assert np.isfinite(places(left)).all() and np.isfinite(places(right)).all()
    assert abs(places(left) - places(right)).min() > 0.35


def hands_gone(pose: Pose, rows: slice) -> Pose:
    score = pose.hands.score.copy()
    score[rows, :21] = 0
    return replace(pose, hands=Keypoints(pose.hands.xy, score))


@pytest.mark.parametrize(
    "rows, filled", [((40, 43), True), ((40, 70), False), ((0, 3), False), ((97, 100), False)]
)
def test_a_hand_that_vanishes_comes_back_clean(rows, filled):
    """Three frames inside the clip are bridged; thirty, and those at either end, stay without a
    hand."""
    pose, gone = adult(), slice(*rows)
    out = timing.fill_gaps(smoothing.still(hands_gone(pose, gone)))
    left = out.hands.visible[:, :21]
    assert left[gone].all() == filled and left[gone].any() == filled
    kept = np.r_[0 : rows[0], rows[1] : 100]
    assert left[kept].all() and np.abs(out.hands.xy - pose.hands.xy)[kept].max() < 1e-9
    shown, report = retarget.retarget([out], adult(1))
    assert not shown.hands.xy[:, :21][~left].any()  # nothing is drawn at old places
    assert report.handless == 0  # the other hand is there


def turned_round(pose: Pose, rows: slice, nose: float) -> Pose:
    """No face in some frames; the nose `nose` half eye distances beside the eyes' middle (0 =
    between)."""
    xy, face = pose.body.xy.copy(), pose.face.score.copy()
    face[rows] = 0
    middle, half = xy[rows, 14:16, 0].mean(1), np.ptp(xy[rows, 14:16, 0], axis=1) / 2
    xy[rows, 0, 0] = middle + nose * half
    return replace(pose, body=Keypoints(xy, pose.body.score), face=Keypoints(pose.face.xy, face))


@pytest.mark.parametrize("nose, away", [(0.0, False), (0.7, False), (1.5, True), (-1.5, True)])
def test_a_profile_counts_as_turned_away_and_a_lost_face_alone_does_not(nose, away):
    driving = turned_round(adult(), slice(25, 50), nose)
    out, report = retarget.retarget([driving], adult(1))
    assert report.turned_seconds == (
        ((1.0, 2.0),) if away else ()
    ) and report.faceless == pytest.approx(0.25)
    assert report.faceless_seconds == ((1.0, 2.0),)
    assert out.body.visible.all() and not out.face.score[25:50].any()
    text = " ".join(report.warnings)
    assert "missing in 25% of the frames (1.0-2.0 s)" in text
    assert ("turns away in 25% of the frames (1.0-2.0 s)" in text) == away


def test_a_back_keeps_its_body_and_its_sides_in_every_frame():
    """Left and right cross when somebody turns round; only a crossing under a face is a mistake."""
    pose = adult()
    xy = pose.body.xy.copy()
    xy[40:60] = xy[40:60][:, MIRROR_BODY]
    face = pose.face.score.copy()
    face[40:60] = 0
    driving = replace(pose, body=Keypoints(xy, pose.body.score), face=Keypoints(pose.face.xy, face))
    assert measures.turned_away(driving)[40:60].all() and measures.turned_away(driving).sum() == 20
    _, report = retarget.retarget([driving], adult(1))
    assert not any("swapped" in note for note in report.warnings)


def test_a_hand_at_the_face_and_a_small_face_are_told():
    pose = adult()
    hands = pose.hands.xy.copy()
    cheek = pose.face.xy[20:60, 14:15]
    hands[20:60, :21] = cheek + 0.1 * (hands[20:60, :21] - hands[20:60, :1])
    _, report = retarget.retarget(
        [replace(pose, hands=Keypoints(hands, pose.hands.score))], adult(1)
    )
    assert report.covered == pytest.approx(0.4)
    assert any("hand is at the driving face in 40%" in note for note in report.warnings)
    far = pose_of(Person(ADULT, 200, (256, 700), (768, 512)), standing())
    _, report = retarget.retarget([far], adult(1))
    assert report.driving_face < 0.05 and any(
        "of the clip's height" in note for note in report.warnings
    )
    _, report = retarget.retarget([pose], adult(1))
    assert report.covered == 0 and "hand is at" not in " ".join(report.warnings)
