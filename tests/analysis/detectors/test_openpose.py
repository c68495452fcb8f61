"""OpenPose: the mapping with a stand-in library, and the real networks where hub and torchvision
allow."""

import builtins
import pickle
import sys
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from pipeline.analysis import detectors
from pipeline.analysis.detectors import cache, openpose
from pipeline.studio.cli import main
from pipeline.values import Video

BROKEN = {
    "nowhere": FileNotFoundError("no such weights"),
    "cut_off": RuntimeError("PytorchStreamReader failed finding central directory"),
    "scrambled": pickle.UnpicklingError("invalid load key"),
    "others": KeyError("model1_2.Mconv7_stage6_L1.weight"),
}


class Keypoint(NamedTuple):
    x: float
    y: float
    score: float = 1.0
    id: int = -1


def person(shift: float = 0.0, scale: float = 1.0) -> SimpleNamespace:
    """Key points whose place tells their number: point i of part p lies at x = 0.1 + 0.005 i, y =
    0.2 p."""

    def part(count: int, y: float) -> list[Keypoint]:
        return [Keypoint(0.1 + shift + scale * 0.005 * i, y) for i in range(count)]

    body = part(18, 0.2)
    body[4] = None
    body[10] = Keypoint(0.3 + shift, 0.2 + 0.5 * scale)
    left = part(21, 0.4)
    left[7] = Keypoint(
        -1 / 640, -1 / 480
    )  # how the library marks a hand point that it did not find
    return SimpleNamespace(
        body=SimpleNamespace(keypoints=body), left_hand=left, right_hand=None, face=part(70, 0.8)
    )


@pytest.fixture
def library(monkeypatch):
    """A stand-in for controlnet-aux whose detector returns what the test puts into `answers`."""

    class OpenposeDetector:
        answers: list[list[SimpleNamespace]] = []
        calls: list[tuple[tuple[int, ...], bool, bool]] = []
        opened: list[str] = []

        @classmethod
        def from_pretrained(cls, source: str):
            if source in BROKEN:
                raise BROKEN[source]
            cls.opened.append(source)
            return cls()

        def to(self, device: str):
            return self

        def detect_poses(self, image, include_hand=False, include_face=False):
            self.calls.append((image.shape, include_hand, include_face))
            return self.answers.pop(0)

    OpenposeDetector.answers, OpenposeDetector.calls, OpenposeDetector.opened = [], [], []
    module = ModuleType("controlnet_aux")
    module.OpenposeDetector = OpenposeDetector
    monkeypatch.setitem(sys.modules, "controlnet_aux", module)
    monkeypatch.delenv("APV_OPENPOSE", raising=False)
    return OpenposeDetector


def test_points_keep_their_order(library):
    library.answers = [[person()]]
    found = detectors.load("openpose").image(np.full((480, 640, 3), 90, np.uint8))
    (pose,) = found.people
    assert found.masks == () and pose.size == (480, 640)
    assert np.allclose(
        pose.face.xy[0], np.stack([0.1 + 0.005 * np.arange(68), np.full(68, 0.8)], 1)
    )
    assert np.allclose(pose.body.xy[0, [0, 2, 17], 0], [0.1, 0.11, 0.185])
    assert pose.body.score[0, 4] == 0 and pose.hands.score[0, 7] == 0
    assert pose.hands.score[0, :7].all() and not pose.hands.score[0, 21:].any()
    assert np.allclose(pose.hands.xy[0, 20], [0.2, 0.4])


def test_neck_is_the_shoulders_mean_and_missing_without_one(library):
    whole, half = person(), person()
    half.body.keypoints[5] = None
    library.answers = [[whole], [half]]
    detector, picture = detectors.load("openpose"), np.full((64, 64, 3), 90, np.uint8)
    body = detector.image(picture).people[0].body
    assert np.allclose(body.xy[0, 1], (body.xy[0, 2] + body.xy[0, 5]) / 2) and body.score[0, 1] == 1
    assert detector.image(picture).people[0].body.score[0, 1] == 0


def test_the_largest_comes_first_and_is_named(library):
    library.answers = [[person(0.3, 0.5), person()]]
    found = detectors.load("openpose").image(np.full((64, 64, 3), 90, np.uint8))
    assert len(found.people) == 2
    assert found.people[0].body.xy[0, 0, 0] == pytest.approx(0.1)
    assert "2 people" in found.notes[0]


def test_people_are_followed_though_the_library_swaps_them(library):
    a, b = [person(0.002 * t) for t in range(4)], [person(0.5 - 0.002 * t, 0.5) for t in range(4)]
    library.answers = [[a[0], b[0]], [b[1], a[1]], [b[2]], [a[3], b[3]]]
    clip = Video(np.full((4, 64, 64, 3), 90, np.uint8), 25.0)
    generator = detectors.load("openpose").video(clip)
    steps = []
    while True:
        try:
            steps.append(next(generator))
        except StopIteration as stop:
            first, second = stop.value.people
            break
    assert steps == [1, 2, 3, 4]
    assert np.allclose(first.body.xy[[0, 1, 3], 0, 0], [0.1, 0.102, 0.106], atol=1e-6)
    assert not first.body.score[2].any() and second.body.score[:, 0].all()
    assert np.allclose(second.body.xy[:, 0, 0], [0.6, 0.598, 0.596, 0.594])


def test_nobody_is_an_error_with_a_sentence(library):
    library.answers = [[]]
    with pytest.raises(ValueError, match="no person found"):
        detectors.load("openpose").image(np.full((64, 64, 3), 90, np.uint8))


def test_large_pictures_are_shrunk_and_hands_and_face_asked_for(library):
    library.answers = [[person()]]
    pose = detectors.load("openpose").image(np.full((3000, 1500, 3), 90, np.uint8)).people[0]
    assert library.calls == [((1024, 512, 3), True, True)]
    assert pose.size == (3000, 1500)


@pytest.mark.parametrize("source", BROKEN)
def test_missing_and_damaged_weights_name_the_remedy(library, monkeypatch, source):
    monkeypatch.setenv("APV_OPENPOSE", source)
    with pytest.raises(
        ValueError, match=f"cannot be read from {source} .*APV_OPENPOSE.*`detector` to holistic"
    ):
        detectors.load("openpose").image(np.full((64, 64, 3), 90, np.uint8))


def test_weights_are_read_once_and_not_for_kept_answers(library, monkeypatch, tmp_path):
    monkeypatch.setenv("APV_CACHE", str(tmp_path))
    library.answers = [[person()], [person()]]
    picture = np.full((64, 64, 3), 90, np.uint8)
    first = detectors.load("openpose")
    cache.image(first, picture)
    first.image(picture)
    cache.image(detectors.load("openpose"), picture)
    assert library.opened == [openpose.WEIGHTS] and len(library.calls) == 2


def test_the_command_line_says_the_missing_library_in_one_sentence(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "controlnet_aux", None)
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(tmp_path / "grey.png")
    words = ["pose", str(tmp_path / "grey.png"), "--output", str(tmp_path / "out.npz")]
    assert main([*words, "--detector", "openpose"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "controlnet-aux" in said and "requirements-gpu.txt" in said


@pytest.mark.parametrize("error", [ImportError, RuntimeError, AttributeError])
def test_a_missing_or_unfit_library_names_the_command(monkeypatch, error):
    real = builtins.__import__

    def broken(name, *rest, **more):
        if name == "controlnet_aux":
            raise error("operator torchvision::nms does not exist")
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "controlnet_aux", raising=False)
    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(ValueError, match=r"pip install -r requirements-gpu\.txt"):
        detectors.load("openpose")


@pytest.mark.hub
def test_the_published_networks_find_the_astronaut(monkeypatch):
    pytest.importorskip("controlnet_aux", exc_type=ImportError)
    skimage = pytest.importorskip("skimage.data")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    (pose, *_) = detectors.load("openpose").image(skimage.astronaut()).people
    assert pose.face.visible.mean() > 0.8
    nose = pose.body.xy[0, 0]
    assert np.abs(nose - [0.445, 0.22]).max() < 0.05
