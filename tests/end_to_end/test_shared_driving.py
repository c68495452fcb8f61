"""What the shared driving clips show, as their README rows say: found by the detector, said in
words."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from pipeline.analysis import detectors
from pipeline.analysis.progress import finish
from pipeline.evaluation.alignment.planted import ADULT, Person, pose_of, standing
from pipeline.media import read_video
from pipeline.motion import retarget, timing
from pipeline.values import Detection, Pose

pytestmark = pytest.mark.slow

LARGEST_MOVE = (
    0.3  # shoulder widths a frame; measured 0.05 to 0.21, a jump to somebody else is over 1
)


@dataclass(frozen=True)
class Facts:
    """people: how many; face: least and largest share of frames with one; said: parts of
    sentences."""

    people: int
    face: tuple[float, float]
    said: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = field(default=("swapped", "no person", "No hands"))
    seconds: float | None = None


CLIPS = {
    "d01_fullbody_dance_white": Facts(1, (0.98, 1.0), unsaid=("turns away", "missing", "swapped")),
    "d02_fullbody_ball_outdoor": Facts(1, (0.9, 0.99), ("driving face is missing in",)),
    "d03_kneeup_anime_style": Facts(1, (0.98, 1.0), unsaid=("turns away", "missing", "swapped")),
    "d04_halfbody_hands_at_face": Facts(1, (0.95, 1.0), ("hand is at the driving face in",)),
    "d05_hipup_turns_around": Facts(
        1, (0.8, 0.9), ("driving face is missing in 1", "turns away in 1", "0.9-1.")
    ),
    "d08_two_people": Facts(
        2,
        (0.95, 1.0),
        ("2 people were found", "number 1 is used: the largest", "of the clip's height"),
        seconds=5,
    ),
}


@pytest.fixture(scope="module", params=CLIPS)
def clip(request, shared) -> tuple[Facts, Detection]:
    facts = CLIPS[request.param]
    video = read_video(shared / "media" / "driving" / f"{request.param}.mp4", seconds=facts.seconds)
    return facts, finish(detectors.load("holistic").video(video))


def shoulders(pose: Pose) -> float:
    pixels = pose.body.xy * (pose.size[1], pose.size[0])
    both = pose.body.visible[:, [2, 5]].all(1)
    return float(np.median(np.linalg.norm(pixels[both, 2] - pixels[both, 5], axis=1)))


def test_people_and_faces_are_counted_and_said(clip):
    facts, found = clip
    reference = pose_of(Person(ADULT, 900, (256, 1050), (768, 512)), standing())
    people = [timing.fill_gaps(person) for person in found.people]
    out, report = retarget.retarget(people, reference)
    text = " ".join(report.warnings)
    assert len(found.people) == report.people == facts.people and report.chosen == 0
    least, most = facts.face
    assert least <= found.people[0].face.visible.any(1).mean() <= most
    assert all(part in text for part in facts.said), text
    assert not any(part in text for part in facts.unsaid), text
    for part in (
        out.body,
        out.hands,
        out.face,
    ):  # what is not seen is nowhere, not at its last place
        assert not part.xy[part.score == 0].any()


def test_the_chosen_person_never_jumps(clip):
    _, found = clip
    pose = timing.fill_gaps(found.people[0])
    scale = np.array([pose.size[1], pose.size[0]]) / shoulders(pose)
    for joint in (1, 8):
        seen = np.flatnonzero(pose.body.visible[:, joint])
        step = np.linalg.norm(np.diff(pose.body.xy[seen, joint] * scale, axis=0), axis=1) / np.diff(
            seen
        )
        assert step.max() <= LARGEST_MOVE
    for other in found.people[1:]:
        both = found.people[0].body.visible[:, 1] & other.body.visible[:, 1]
        apart = np.linalg.norm((found.people[0].body.xy - other.body.xy)[both, 1] * scale, axis=1)
        assert apart.min() > 1


def test_the_body_is_there_in_every_frame_and_its_sides_stay(clip):
    """Also while the face is turned away, and in the first and the last frame."""
    _, found = clip
    pose = timing.fill_gaps(found.people[0])
    assert pose.body.visible[:, [1, 2, 5]].all()
    assert (pose.body.xy[:, 5, 0] > pose.body.xy[:, 2, 0]).all()
    away = ~pose.face.visible.any(1)
    assert not pose.face.score[away].any() and pose.body.visible[away].any(1).all()
