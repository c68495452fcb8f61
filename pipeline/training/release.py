"""Makes a model folder loadable: `python -m pipeline train release --out checkpoints/mini`.

`train audio2pose` and `train video` write the trained components; this adds the warp's settings and
the index that names them all, and checks that the folder loads.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pipeline.models.audio2pose import Audio2Pose
from pipeline.models.model_settings import INDEX_FILE, ModelSettings
from pipeline.render import load
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.render.svd.warped_reference import WarpedReference
from pipeline.training import mini_model
from pipeline.values import InputError

LIMIT_MB = 40


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline train release", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--out", type=Path, default=Path("checkpoints/mini"), help="folder of the components"
    )
    folder = parser.parse_args(argv).out
    missing = [
        name
        for name in ("audio2pose", "unet", "controlnext", "vae")
        if not (folder / name).is_dir()
    ]
    if missing:
        raise InputError(f"{folder} lacks {', '.join(missing)}; train audio2pose and video first")
    parts = mini_model.load(folder)
    condition = WarpedReference(gated_validity=0.0 if parts.interaction is None else 1.0)
    condition.save_pretrained(folder / "condition")
    known = _measured_settings(folder)
    pipe = AudioPoseSVDPipeline(
        vae=parts.vae,
        unet=parts.unet,
        controlnext=parts.controlnext,
        reference_tokens=parts.reference_tokens,
        condition=condition,
        scheduler=parts.scheduler,
        audio2pose=Audio2Pose.from_pretrained(folder / "audio2pose"),
        interaction=parts.interaction,
        gate_shows=known.gate_shows,
        network_gestures=known.network_gestures,
    )
    pipe.save_config(folder)
    load.load(str(folder), device="cpu")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    print(f"{folder} loads; {size:.1f} MB of at most {LIMIT_MB} MB")
    return 0 if size <= LIMIT_MB else 1


def _measured_settings(folder: Path) -> ModelSettings:
    """Return what was measured of the weights before: `evaluate mini` tells whether it still
    holds."""
    index = folder / INDEX_FILE
    if not index.is_file():
        return ModelSettings()
    values = json.loads(index.read_text(encoding="utf-8"))
    return ModelSettings(
        gate_shows=values.get("gate_shows", ModelSettings.gate_shows),
        network_gestures=values.get("network_gestures", ModelSettings.network_gestures),
    )
