"""The shipped ONNX files are what the conversion makes of Google's files."""

import hashlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.analysis.detectors import holistic_networks

FOLDER = holistic_networks.FOLDER
TASK = "media/models/face_landmarker_v2_with_blendshapes.task"


def test_the_model_card_names_every_file_by_its_content():
    card = (FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")
    files = {path.stem: path for path in FOLDER.glob("*.onnx")}
    assert set(files) == {*holistic_networks.SHAPES, "pose_mask"}
    for name, path in files.items():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        row = next(line for line in card.splitlines() if line.startswith(f"| `{name}`"))
        assert digest in row and str(path.stat().st_size) in row


@pytest.mark.parametrize("name", holistic_networks.SHAPES)
def test_every_network_runs(name):
    side = holistic_networks.side_of(name)
    outputs = holistic_networks.run(name, np.zeros((side, side, 3), np.float32))
    assert [output.shape for output in outputs] == list(holistic_networks.SHAPES[name][1])


def test_sparse_constants_are_laid_dense():
    """A 2 x 4 array in blocks of 1 x 2: dense rows, sparse columns of blocks."""
    tflite = pytest.importorskip("tflite", reason="only developers convert")
    from pipeline.analysis.detectors.conversion import tflite_file

    class Numbers:
        """A table of the schema that holds its numbers itself."""

        def Init(self, values, place):  # noqa: N802
            self.values = np.array(values)

        def ValuesAsNumpy(self):  # noqa: N802
            return self.values

    def axis(size=0, segments=(), indices=()):
        kind = tflite.DimensionType.SPARSE_CSR if segments else tflite.DimensionType.DENSE
        table = tflite.SparseIndexVector.Int32Vector
        return SimpleNamespace(
            Format=lambda: kind,
            DenseSize=lambda: size,
            ArraySegmentsType=lambda: table,
            ArraySegments=lambda: SimpleNamespace(Bytes=segments, Pos=0),
            ArrayIndicesType=lambda: table,
            ArrayIndices=lambda: SimpleNamespace(Bytes=indices, Pos=0),
        )

    axes = [axis(2), axis(segments=(0, 1, 3), indices=(1, 0, 1)), axis(2)]
    sparsity = SimpleNamespace(
        DimMetadataLength=lambda: len(axes),
        DimMetadata=lambda i: axes[i],
        TraversalOrder=lambda i: i,
        BlockMap=lambda i: 1,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tflite_file, "INDEX_TABLES", {tflite.SparseIndexVector.Int32Vector: Numbers})
        dense = tflite_file._dense(sparsity, np.arange(1.0, 7.0), (2, 4))
        assert dense.tolist() == [[0, 0, 1, 2], [3, 4, 5, 6]]
        with pytest.raises(ValueError, match="5 values"):
            tflite_file._dense(sparsity, np.arange(5.0), (2, 4))


def test_padding_is_that_of_tensorflow():
    tflite = pytest.importorskip("tflite", reason="only developers convert")
    from pipeline.analysis.detectors.conversion import operators

    same = tflite.Padding.SAME
    assert operators._pads(same, (5, 6), (3, 3), (2, 2)) == [1, 0, 1, 1]
    assert operators._pads(same, (5, 6), (3, 3), (1, 1), (2, 2)) == [2, 2, 2, 2]
    assert operators._pads(tflite.Padding.VALID, (5, 6), (3, 3), (2, 2)) == [0, 0, 0, 0]


@pytest.mark.hub
def test_the_conversion_makes_the_shipped_files_again(shared, tmp_path):
    onnx = pytest.importorskip("onnx", reason="only developers convert")
    from pipeline.analysis.detectors.conversion.__main__ import main

    download = ["download", "-q", "--no-deps", "--only-binary", ":all:"]
    download += ["--python-version", "3.12", "-d", str(tmp_path), "mediapipe==0.10.21"]
    subprocess.run([sys.executable, "-m", "pip", *download], check=True)
    (wheel,) = tmp_path.glob("mediapipe-*.whl")
    made = tmp_path / "made"
    assert main([str(wheel), str(shared / TASK), str(made)]) == 0
    names = {path.name for path in FOLDER.glob("*.onnx")}
    assert {path.name for path in made.iterdir()} == names
    for name in names:
        assert onnx.load(made / name) == onnx.load(FOLDER / name), name


def test_the_conversion_says_how_it_is_called(capsys):
    pytest.importorskip("tflite", reason="only developers convert")
    from pipeline.analysis.detectors.conversion.__main__ import main

    assert main([]) == 2
    assert "WHEEL TASK" in capsys.readouterr().err


def test_a_damaged_file_is_told_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(holistic_networks, "FOLDER", Path(tmp_path))
    holistic_networks.network.cache_clear()
    (tmp_path / "hand_recrop.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    try:
        with pytest.raises(ValueError, match=r"hand_recrop\.onnx .*install APV Studio again"):
            holistic_networks.run("hand_recrop", np.zeros((256, 256, 3), np.float32))
    finally:
        holistic_networks.network.cache_clear()
