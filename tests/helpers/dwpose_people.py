"""Stand-ins for DWPose: network outputs that describe known people, and an onnxruntime that gives
them."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.models import registry
from tests.helpers.stick_person import still_person

PICTURE, CROP = (3, 640, 640), (3, 384, 288)
FILES = {"detector": "yolox_l.onnx", "pose": "dw-ll_ucoco_384.onnx"}
# COCO's 17 among OpenPose's 18
COCO = (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)


def folder_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the program looks for the two files, whose size is not the published one here."""
    monkeypatch.setenv("APV_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("APV_MODELS", raising=False)
    any_size = [
        replace(row, files=tuple(replace(file, megabytes=None) for file in row.files))
        for row in registry.SETS
    ]
    monkeypatch.setattr(registry, "SETS", tuple(any_size))
    place = registry.find("dwpose").place
    place.mkdir(parents=True)
    return place


def found_by_yolox(*boxes: tuple[float, float, float, float, float]) -> np.ndarray:
    """(8400, 85) detector output with boxes of (centre x, y, width, height, score) in its 640
    pixels."""
    raw = np.zeros((8400, 85), np.float32)
    for x, y, width, height, score in boxes:
        cell = 8000 + int(y // 32) * 20 + int(x // 32)
        while raw[cell, 4]:
            cell += 1
        column, row = (cell - 8000) % 20, (cell - 8000) // 20
        raw[cell, :4] = x / 32 - column, y / 32 - row, np.log(width / 32), np.log(height / 32)
        raw[cell, 4:6] = score, 1
    return raw


def simcc(score: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """Pose network output for `still_person`, who fills the crop, with flat hands: (133,576),
    (133,768)."""
    person = still_person()
    body, hands, face = person.body.xy[0], person.hands.xy[0], person.face.xy[0]
    places = np.concatenate([body[list(COCO)], np.repeat(body[[13, 10]], 3, 0), face, hands])
    outputs = []
    for axis, bins in ((0, 576), (1, 768)):
        peaks = np.zeros((133, bins), np.float32)
        peaks[np.arange(133), np.round(places[:, axis] * bins).astype(int)] = score
        outputs.append(peaks)
    return outputs[0], outputs[1]


def grey(*levels: int) -> np.ndarray:
    """Frames of 320x320 pixels whose grey level tells the stand-in which frame it sees."""
    return np.stack([np.full((320, 320, 3), level, np.uint8) for level in levels])


class Runtime:
    """Stands in for onnxruntime: `find(pixel)` and `pose(crop)` answer for each picture of a
    batch."""

    def __init__(
        self, find, pose, batch: int | str = "batch", available=("CPUExecutionProvider",)
    ) -> None:
        self.answers = {"yolox_l.onnx": find, "dw-ll_ucoco_384.onnx": pose}
        self.batch, self.available = batch, list(available)
        self.calls: list[tuple[str, int]] = []
        self.opened: list[tuple[str, SimpleNamespace, list[str]]] = []

    def SessionOptions(self) -> SimpleNamespace:
        entries: dict[str, str] = {}
        return SimpleNamespace(entries=entries, add_session_config_entry=entries.__setitem__)

    def get_available_providers(self) -> list[str]:
        return self.available

    def InferenceSession(
        self, path: str, options: SimpleNamespace, providers: list[str]
    ) -> SimpleNamespace:
        name = Path(path).name
        self.opened.append((name, options, providers))
        shapes = [[self.batch, 133, 576], [self.batch, 133, 768]]
        shapes = shapes if name == FILES["pose"] else [[self.batch, 8400, 85]]
        picture = CROP if name == FILES["pose"] else PICTURE

        def run(names, given):
            (pictures,) = given.values()
            assert names is None and pictures.dtype == np.float32 and pictures.shape[1:] == picture
            self.calls.append((name, len(pictures)))
            answers = [self.answers[name](one) for one in pictures]
            return [np.stack(part) for part in zip(*answers, strict=True)]

        takes = [SimpleNamespace(name="images", shape=[self.batch, *picture])]
        gives = [SimpleNamespace(name=str(i), shape=shape) for i, shape in enumerate(shapes)]
        return SimpleNamespace(get_inputs=lambda: takes, get_outputs=lambda: gives, run=run)
