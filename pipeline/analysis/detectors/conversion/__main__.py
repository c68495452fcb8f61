"""Convert all models: `python -m pipeline.analysis.detectors.conversion WHEEL TASK [FOLDER]`.

WHEEL is the wheel of mediapipe 0.10.21 or the folder of the installed package's parent
(`site-packages`), TASK Google's `face_landmarker.task`. FOLDER defaults to `checkpoints/holistic`.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from onnx import ModelProto

from pipeline import ROOT
from pipeline.analysis.detectors.conversion import pose_mask
from pipeline.analysis.detectors.conversion.onnx_graph import OnnxGraph
from pipeline.analysis.detectors.conversion.operators import convert
from pipeline.analysis.detectors.conversion.tflite_file import TfliteFile

# The models of the wheel that are shipped.
IN_WHEEL = (
    "mediapipe/modules/pose_detection/pose_detection.tflite",
    "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
    "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
    "mediapipe/modules/holistic_landmark/hand_recrop.tflite",
    "mediapipe/modules/face_landmark/face_landmark.tflite",
    "mediapipe/modules/face_detection/face_detection_short_range.tflite",
    "mediapipe/modules/face_detection/face_detection_full_range_sparse.tflite",
)
IN_TASK = "face_landmarks_detector.tflite"


def convert_file(data: bytes, title: str) -> dict[str, ModelProto]:
    """Convert the bytes of a TFLite file to one ONNX model or two, by their titles."""
    file = TfliteFile(data)
    graph = OnnxGraph(file)
    for operator in file.operators():
        convert(graph, operator)
    model = graph.model(title)
    if title == pose_mask.POINTS_TITLE:
        return pose_mask.split(model)
    return {title: model}


def sources(wheel: Path, task: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the title and the bytes of each TFLite file that is shipped as ONNX."""
    for name in IN_WHEEL:
        yield PurePosixPath(name).stem, _read(wheel, name)
    yield PurePosixPath(IN_TASK).stem, _read(task, IN_TASK)


def _read(place: Path, name: str) -> bytes:
    """Read one file out of a folder or an archive."""
    if place.is_dir():
        return (place / name).read_bytes()
    with zipfile.ZipFile(place) as archive:
        return archive.read(name)


def main(arguments: list[str]) -> int:
    """Convert what the command line names; return the exit code."""
    if len(arguments) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    wheel, task, *rest = (Path(argument) for argument in arguments)
    folder = rest[0] if rest else ROOT / "checkpoints" / "holistic"
    folder.mkdir(parents=True, exist_ok=True)
    for title, data in sources(wheel, task):
        print(f"{title}.tflite {len(data)} bytes")
        for name, model in convert_file(data, title).items():
            converted = model.SerializeToString(deterministic=True)
            (folder / f"{name}.onnx").write_bytes(converted)
            print(f"-> {name}.onnx {len(converted)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
