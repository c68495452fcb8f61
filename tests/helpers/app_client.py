"""What a visitor of the app sends, and what comes back."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from gradio_client import Client, handle_file
from PIL import Image

from pipeline.media.pose_files import openpose
from pipeline.values import Keypoints, Pose
from tests.helpers.stick_person import figure


def analyse(client: Client, files: dict[str, str], **changes):
    given = {
        "image": files["face.png"],
        "audio": files["speech.wav"],
        "pose": files["pose.npz"],
    } | changes
    sent = {
        name: handle_file(value) if value in files.values() else value
        for name, value in given.items()
    }
    return client.predict(
        **{"video": None, "height": 128, "width": 128} | sent, api_name="/analyse"
    )


def video_of(value) -> str:
    return value["video"] if isinstance(value, dict) else value


def moved(pose: Pose, x: float) -> Pose:
    parts = {
        n: Keypoints(getattr(pose, n).xy + (x, 0), getattr(pose, n).score)
        for n in ("body", "hands", "face")
    }
    return Pose(**parts, fps=pose.fps, size=pose.size)


def write_pair(path: Path) -> str:
    """OpenPose JSON of two people: the second stands to the right and comes half a clip later."""
    one = figure(20, size=(128, 192))
    frames = [openpose.frame(moved(one, -0.2), row) for row in range(20)]
    for row in range(10, 20):
        frames[row]["people"] += openpose.frame(moved(one, 0.25), row)["people"]
    path.write_text(json.dumps(frames))
    return str(path)


def write_group(path: Path) -> str:
    """A photograph's person twice, side by side, each half 512 pixels wide."""
    import skimage.data

    photo = skimage.data.astronaut()
    smaller = np.full_like(photo, 200)
    smaller[112:, 56:456] = photo[:400, 56:456]
    Image.fromarray(np.concatenate([photo, smaller], 1)).save(path)
    return str(path)


@contextlib.contextmanager
def halted(monkeypatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """A denoiser that, once the page has written its first frames, tells so and waits until it may
    go on."""
    from pipeline.render.svd.pipeline import AudioPoseSVDPipeline

    real = AudioPoseSVDPipeline.render
    finished, go_on = threading.Event(), threading.Event()

    def waiting(self, *args, **options):
        for step in real(self, *args, **options):
            yield step
            if step.frames is not None:
                finished.set()
                assert go_on.wait(60)

    monkeypatch.setattr(AudioPoseSVDPipeline, "render", waiting)
    yield finished, go_on
    monkeypatch.undo()
