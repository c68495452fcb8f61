"""The app through gradio_client: the three steps, bad input, two visitors, what a request may
read."""

import json
import os
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from pipeline import media
from pipeline.studio.app import controls
from pipeline.values import Video
from tests.helpers.app_client import analyse, halted, video_of


def test_three_steps_over_the_api(address, files) -> None:
    client = Client(address, verbose=False)
    status, wave, notes, table = analyse(client, files)
    assert "Analysed" in status and "25 frames" in status and isinstance(notes, str)
    assert Path(wave).is_file()
    status, skeleton, overlay = client.predict(intensity=2, api_name="/tune")
    assert "Intensity 2" in status
    assert media.probe(video_of(skeleton)).frames == 25
    assert Image.open(overlay).size == (128, 128)
    excerpt = client.predict(intensity=2, api_name="/excerpt")
    assert media.probe(video_of(excerpt)).frames >= 10
    status, _, result = client.predict(intensity=2, steps=2, api_name="/generate")
    assert "Done" in status and "25 of 25" in status
    made = media.probe(video_of(result))
    assert made.frames == 25 and made.has_audio and (made.width, made.height) == (128, 128)
    settings = media.read_settings(video_of(result))
    assert (
        settings["intensity"] == 2
        and settings["steps"] == 2
        and settings["reference"] == "face.png"
    )
    both = media.probe(video_of(client.predict(api_name="/compare")))
    assert both.frames == 25 and (both.width, both.height) == (384, 128) and both.has_audio
    loaded = client.predict(handle_file(video_of(result)), api_name="/load_settings")
    assert "Settings loaded" in loaded[0]
    values = dict(zip([control.name for control in controls.CONTROLS], loaded[1:], strict=True))
    assert values["intensity"] == 2 and values["steps"] == 2 and values["refocus"] == "auto"
    assert (values["height"], values["width"], values["person"]) == (128, 128, "")


def test_the_slider_reaches_the_result(address, files) -> None:
    client = Client(address, verbose=False)
    analyse(client, files)
    made = []
    for intensity in (0, 2, 2):
        _, _, result = client.predict(intensity=intensity, api_name="/generate")
        video = media.read_video(video_of(result))
        made.append(np.concatenate(list(video.chunks())).astype(int))
    assert np.array_equal(made[1], made[2]) and np.abs(made[0] - made[1]).max() > 20


BAD = [
    ({"image": None}, "reference image"),
    ({"audio": None}, "speech"),
    ({"image": "text.png"}, "text.png"),
    ({"image": "grey.png"}, "person"),
    ({"audio": "blink.wav"}, "0.1"),
    ({"audio": "text.png"}, "text.png"),
    ({"video": "text.png", "pose": None}, "text.png"),
    ({"video": "speech.wav"}, "remove one"),
    ({"height": 100, "width": None}, "height"),
    ({"fps": 1000}, "fps"),
    ({"detector": "eyes"}, "eyes"),
]


@pytest.mark.parametrize(("changes", "word"), BAD, ids=[f"{next(iter(c))}-{w}" for c, w in BAD])
def test_bad_input_is_one_visible_sentence(address, files, changes, word) -> None:
    client = Client(address, verbose=False)
    with pytest.raises(AppError) as error:
        analyse(client, files, **{name: files.get(value, value) for name, value in changes.items()})
    text = str(error.value)
    assert word.lower() in text.lower().replace("value", "fps") and "Traceback" not in text
    assert os.environ["GRADIO_TEMP_DIR"] not in text


def test_the_sentence_is_the_command_lines(address, files, capsys) -> None:
    from pipeline.studio.cli import main

    assert main(["generate", "--reference", files["grey.png"], "--audio", files["speech.wav"], "--model",
                 files["model"], "--output", str(Path(files["model"]).parent / "o.mp4")]) == 2  # fmt: skip
    said = capsys.readouterr().err.splitlines()[-1].removeprefix("error: ")
    with pytest.raises(AppError) as error:
        analyse(Client(address, verbose=False), files, image=files["grey.png"])
    assert said in str(error.value)


def test_an_error_loses_nothing_that_was_made(address, files) -> None:
    client = Client(address, verbose=False)
    with pytest.raises(AppError, match="Analyse first"):
        client.predict(intensity=1, api_name="/generate")
    analyse(client, files)
    with pytest.raises(AppError):
        analyse(client, files, image=files["text.png"])
    status, *_ = client.predict(intensity=1, api_name="/tune")
    assert "25 frames" in status


def test_two_visitors_do_not_meet(address, files) -> None:
    one, two = (Client(address, verbose=False) for _ in range(2))
    analyse(one, files)
    analyse(two, files, audio=files["silence.wav"], pose=None)
    frames = {}
    for name, client in (("one", one), ("two", two), ("one again", one)):
        _, skeleton, *_ = client.predict(intensity=1, api_name="/tune")
        frames[name] = media.probe(video_of(skeleton)).frames
    assert frames == {"one": 25, "two": 12, "one again": 25}


def test_cancel_keeps_the_finished_frames(address, files, monkeypatch) -> None:
    client = Client(address, verbose=False)
    analyse(client, files)
    with halted(monkeypatch) as (finished, go_on):
        job = client.submit(intensity=1, api_name="/generate")
        assert finished.wait(60)
        assert "Cancelling" in client.predict(api_name="/cancel")
        go_on.set()
        status, _, result = job.result(timeout=60)
    assert "finished part is kept" in status
    kept = media.probe(video_of(result))
    assert 0 < kept.frames < 25 and kept.has_audio and abs(kept.seconds - kept.frames / 25) < 0.05


def test_a_render_that_crashes_leaves_its_finished_part_to_download(
    address, files, monkeypatch
) -> None:
    from pipeline.render.svd.pipeline import AudioPoseSVDPipeline

    real = AudioPoseSVDPipeline.render

    def crashing(self, *args, **options):
        for step in real(self, *args, **options):
            yield step
            if step.frames is not None:
                raise RuntimeError("the network broke")

    client = Client(address, verbose=False)
    analyse(client, files)
    monkeypatch.setattr(AudioPoseSVDPipeline, "render", crashing)
    job = client.submit(intensity=1, api_name="/generate")
    with pytest.raises(AppError, match="the network broke"):
        job.result(timeout=60)
    status, _, result = job.outputs()[-1]
    assert "Broken off, the finished part is kept" in status
    kept = media.probe(video_of(result))
    assert 0 < kept.frames < 25 and kept.has_audio


def test_a_request_reads_only_what_was_uploaded(address, files) -> None:
    own = Path(files["model"]).parent / "own.mp4"
    frames = np.zeros((3, 64, 64, 3), np.uint8)
    media.write_video(own, Video(frames, 25), {"apv_studio": "0", "intensity": 1.5})
    client = Client(address, verbose=False)
    assert client.predict(handle_file(str(own)), api_name="/load_settings")[1] == 1.5
    raw = {
        "data": [{"path": str(own), "meta": {"_type": "gradio.FileData"}}]
    }  # a path that was never uploaded
    call = f"{address}gradio_api/call/load_settings"
    event = httpx.post(call, json=raw, timeout=60).json()["event_id"]
    answer = httpx.get(f"{call}/{event}", timeout=60).text
    assert "event: error" in answer and "1.5" not in answer


def test_the_page_asks_for_nothing_elsewhere(address) -> None:
    import urllib.request

    with urllib.request.urlopen(address, timeout=30) as answer:
        text = answer.read().decode()
    assert "APV Studio" in text and "fonts.googleapis.com" not in text


def test_every_endpoint_has_a_name(address) -> None:
    named = Client(address, verbose=False).view_api(return_format="dict", print_info=False)[
        "named_endpoints"
    ]
    wanted = {
        "/analyse",
        "/people",
        "/speakers",
        "/accents",
        "/detected",
        "/tune",
        "/excerpt",
        "/pose",
        "/overlay",
    }
    wanted |= {"/generate", "/cancel", "/compare", "/load_settings"}
    assert wanted <= set(named) <= wanted | {"/example"}
    json.dumps(named)


def test_a_taken_port_is_one_sentence(address, capsys) -> None:
    import app

    port = address.rstrip("/").rsplit(":", 1)[1]
    assert app.main(["--port", port]) == 2
    assert port in capsys.readouterr().err
    assert app.main(["--model", "nonesuch"]) == 2
    assert "nonesuch" in capsys.readouterr().err
