"""The app's motion controls through gradio_client: accents, regions, mouth, people, pose files,
overlay.

What the page makes has to be what the command line makes of the same choices.
"""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from pipeline import media
from pipeline.media import pose_files
from pipeline.studio import outputs
from pipeline.studio import request as jobs
from pipeline.studio.app import controls, handlers, session
from pipeline.studio.cli import main
from pipeline.values import Pose, Video
from tests.helpers.app_client import analyse, halted, video_of, write_group, write_pair
from tests.helpers.stick_person import figure
from tests.helpers.voices import voice


@pytest.fixture(scope="module")
def spoken(files) -> str:
    """A voice with accents."""
    path = str(Path(files["pose.npz"]).with_name("voice.wav"))
    soundfile.write(path, voice(2.5).samples, 16000)
    files["voice.wav"] = path
    return path


@pytest.fixture(scope="module")
def pair(files) -> str:
    files["pair.json"] = write_pair(Path(files["pose.npz"]).with_name("pair.json"))
    return files["pair.json"]


def drawn(client: Client, **knobs) -> Pose:
    """The pose that the page draws."""
    return Pose.load(client.predict(**knobs, api_name="/pose"))


def written(
    files, folder: Path, *words: str, driving: str = "pose.npz", audio: str = "voice.wav"
) -> Pose:
    """The pose that the command line draws."""
    out = folder / "pose.npz"
    named = {"reference": files["face.png"], "audio": files[audio], "driving": files[driving]}
    named |= {"model": files["model"], "height": "128", "width": "128", "pose-out": str(out)}
    named |= {"output": str(folder / "s.mp4")}
    done = main(
        [
            "preview",
            *words,
            *(word for name, value in named.items() for word in (f"--{name}", value)),
        ]
    )
    assert done == 0
    return Pose.load(out)


def same(one: Pose, other: Pose) -> bool:
    return all(
        np.array_equal(getattr(one, part).xy, getattr(other, part).xy)
        for part in ("body", "hands", "face")
    )


def table(rows) -> dict:
    return {
        "headers": ["seconds", "strength"],
        "data": [list(row) for row in rows],
        "metadata": None,
    }


def rows_of(shown) -> list[list[float]]:
    return [row for row in shown["data"] if row[0] not in (None, "")]


# ---- accents


def test_edited_accents_move_the_skeleton_and_are_kept(address, files, spoken, tmp_path) -> None:
    client = Client(address, verbose=False)
    *_, shown = analyse(client, files, audio=spoken)
    found = rows_of(shown)
    assert len(found) >= 2 and shown["data"][-1] in ([None, None], ["", ""])
    before = drawn(client, intensity=2)
    wanted = [[2.2, 1.0], *found[:-1], [None, None]]  # one added, the last one deleted
    status, wave, shown, _ = client.predict(accents=table(wanted), api_name="/accents")
    assert f"{len(found)} accents" in status and Path(wave).is_file()
    assert rows_of(shown) == sorted(wanted[:-1]) and len(shown["data"]) == len(found) + 1
    after = drawn(client, intensity=2)
    assert not same(before, after)
    listed = [{"time": time, "strength": strength} for time, strength in wanted[:-1]]
    (tmp_path / "a.json").write_text(json.dumps(listed))
    assert same(
        after, written(files, tmp_path, "--intensity", "2", "--accents", str(tmp_path / "a.json"))
    )

    *_, result = client.predict(intensity=2, api_name="/generate")
    assert media.read_settings(video_of(result))["accent_rows"] == sorted(wanted[:-1])
    other = Client(address, verbose=False)
    status, *_ = other.predict(handle_file(video_of(result)), api_name="/load_settings")
    assert f"{len(found)} accents" in status
    *_, shown = analyse(other, files, audio=spoken)
    assert rows_of(shown) == sorted(wanted[:-1]) and same(drawn(other, intensity=2), after)

    status, _, shown, _ = client.predict(api_name="/detected")
    assert (
        rows_of(shown) == found
        and "as detected" in status
        and same(drawn(client, intensity=2), before)
    )


def test_edits_stay_with_their_speech(address, files, spoken) -> None:
    client = Client(address, verbose=False)
    analyse(client, files, audio=spoken)
    client.predict(accents=table([[1.2, 0.9], [2.3, 0.9]]), api_name="/accents")
    *_, shown = analyse(client, files, audio=spoken, mouth=0.5)
    assert rows_of(shown) == [[1.2, 0.9], [2.3, 0.9]]
    *_, notes, shown = analyse(client, files)
    assert [1.2, 0.9] not in rows_of(shown) and "left out" not in notes


def test_loaded_accents_beyond_the_speech_are_left_out_with_a_word(address, files) -> None:
    own = str(Path(files["model"]).parent / "long.mp4")
    settings = {"apv_studio": "0", "accent_rows": [[3.0, 0.9]]}
    video = Video(np.zeros((3, 64, 64, 3), np.uint8), 25)
    media.write_video(own, video, settings)
    client = Client(address, verbose=False)
    assert "1 accents" in client.predict(handle_file(own), api_name="/load_settings")[0]
    *_, notes, shown = analyse(client, files)
    assert "beyond this speech" in notes and [3.0, 0.9] not in rows_of(shown)
    media.write_video(
        own, Video(np.zeros((3, 64, 64, 3), np.uint8), 25), settings | {"accent_rows": [[1, "x"]]}
    )
    with pytest.raises(AppError, match="pair of numbers"):
        client.predict(handle_file(own), api_name="/load_settings")


@pytest.mark.parametrize(
    ("row", "word"), [([1.0, 2.0], "strength 2"), ([9.0, 0.5], "9 s"), (["soon", 0.5], "row 1")]
)
def test_a_bad_accent_is_one_sentence_and_changes_nothing(address, files, row, word) -> None:
    client = Client(address, verbose=False)
    analyse(client, files)
    before = drawn(client)
    with pytest.raises(AppError) as error:
        client.predict(accents=table([row]), api_name="/accents")
    assert word in str(error.value) and "Traceback" not in str(error.value)
    assert same(drawn(client), before)


def test_a_half_filled_row_waits_and_no_row_means_no_accent(address, files, spoken) -> None:
    client = Client(address, verbose=False)
    analyse(client, files, audio=spoken)
    status, _, _, hint = client.predict(
        accents=table([[1.0, 0.9], [2.0, None]]), api_name="/accents"
    )
    assert "1 accents" in status and "Row 2 lacks" in hint
    status, _, _, hint = client.predict(accents=table([[None, ""]]), api_name="/accents")
    assert "0 accents" in status and "Double-click" in hint
    assert "0 accents" in client.predict(accents=table([]), api_name="/accents")[0]


def test_an_edit_during_the_denoising_survives_it(address, files, spoken, monkeypatch) -> None:
    client = Client(address, verbose=False)
    analyse(client, files)
    with halted(monkeypatch) as (finished, go_on):
        job = client.submit(intensity=1, api_name="/generate")
        assert finished.wait(60)
        client.predict(accents=table([[0.5, 0.9]]), api_name="/accents")
        go_on.set()
        *_, result = job.result(timeout=60)
    assert media.read_settings(video_of(result))["accent_rows"] is None
    *_, again = client.predict(api_name="/generate")
    assert media.read_settings(video_of(again))["accent_rows"] == [[0.5, 0.9]]


# ---- regions, mouth, alignment


def test_regions_act_at_once_and_as_in_the_command_line(address, files, spoken, tmp_path) -> None:
    client = Client(address, verbose=False)
    analyse(client, files, audio=spoken)
    none = {f"{name}_intensity": 0 for name in ("arms", "hands", "head", "torso")}
    driven, strong = drawn(client, intensity=0), drawn(client, intensity=2)
    assert same(drawn(client, intensity=2, **none), driven) and not same(strong, driven)
    still = drawn(client, intensity=2, arms_intensity=0)
    assert same(still, written(files, tmp_path, "--intensity", "2", "--arms-intensity", "0"))
    assert not same(still, strong)
    with pytest.raises(AppError, match="together"):
        client.predict(intensity=2, arms_intensity=2, api_name="/tune")


def test_mouth_offset_retarget_and_framing_are_the_command_lines(
    address, files, spoken, tmp_path
) -> None:
    client = Client(address, verbose=False)
    analyse(client, files, audio=spoken)
    plain = drawn(client)
    for name, value in {
        "mouth": 0.2,
        "audio_offset": 300,
        "retarget": "similar",
        "framing": "driving",
    }.items():
        analyse(client, files, audio=spoken, **{name: value})
        assert not same(drawn(client), plain), name
    analyse(client, files, audio=spoken, mouth=0.2, audio_offset=300, retarget="similar")
    words = ["--mouth", "0.2", "--audio-offset", "300", "--retarget", "similar"]
    assert same(drawn(client), written(files, tmp_path, *words))
    with pytest.raises(AppError, match="framing"):
        analyse(client, files, retarget="similar", framing="driving")


def test_gestures_without_a_driving_clip(address, files, spoken) -> None:
    client = Client(address, verbose=False)
    made = {}
    for gestures in ("still", "head", "full"):
        analyse(client, files, audio=spoken, pose=None, gestures=gestures)
        made[gestures] = drawn(client)
    assert not same(made["still"], made["head"]) and not same(made["head"], made["full"])


def test_every_choice_of_a_request_is_on_the_page() -> None:
    given = {
        "reference",
        "audio",
        "driving",
        "model",
        "audio2pose",
        "accents",
        "accent_rows",
    }  # files, the server's, the table
    names = [control.name for control in controls.CONTROLS]
    assert sorted(names) == sorted({field.name for field in fields(jobs.Request)} - given)
    assert {control.look.group for control in controls.CONTROLS} == {
        name for name, _ in controls.GROUPS
    } | {
        "intensity",
        "people",
        "speakers",
    }
    for stage in ("analyse", "tune", "generate"):
        mine = controls.of_stage(stage)
        shown = {control.name: control.default for control in mine}
        for values in (shown, dict.fromkeys(shown)):  # None: a field that was wiped
            read = controls.read(stage, values)
            assert read == {control.name: control.option.default for control in mine}


# ---- people and pose files


def test_a_person_is_chosen_by_number_or_point(address, files, pair) -> None:
    client = Client(address, verbose=False)
    _, _, notes, _ = analyse(client, files, pose=pair)
    assert "2 people" in notes and "number 1" in notes
    picture = client.predict(api_name="/people")
    first = np.array(Image.open(picture).convert("RGB"))
    poses = {"": drawn(client)}
    for person in ("1", "0.75,0.5", "2"):
        _, _, notes, _ = analyse(client, files, pose=pair, person=person)
        poses[person] = drawn(client)
        assert ("the point" in notes) == (
            "," in person
        )  # in the first frame, where number 1 is alone
    assert same(poses[""], poses["1"]) and same(poses["1"], poses["0.75,0.5"])
    assert not same(poses["1"], poses["2"])
    second = np.array(Image.open(client.predict(api_name="/people")).convert("RGB"))
    assert first.shape == second.shape and not np.array_equal(
        first, second
    )  # the chosen one is green
    for person, word in (("3", "choose 1 to 2"), ("left", "not understood")):
        with pytest.raises(AppError, match=word):
            analyse(client, files, pose=pair, person=person)
    analyse(client, files)
    assert client.predict(api_name="/people") is None


def test_a_click_finds_the_person_under_it(pair) -> None:
    """Also one who is not there in the first frame: the picture is the first that shows both."""
    people = pose_files.read(pair).people
    assert outputs.busiest(people) == 10
    right = [k for k, pose in enumerate(people) if np.median(pose.body.xy[10:, 1, 0]) > 0.5]
    assert len(right) == 1
    for x, number in ((0.75, right[0] + 1), (0.3, 2 - right[0])):
        assert outputs.person_at(people, (x, 0.5)) == number
    picture = outputs.people_picture(jobs.Request("a", "b", pair), people, right[0])
    green = (picture == (64, 220, 120)).all(-1).any(0)
    assert (
        max(picture.shape) == outputs.PICKER_PX
        and not green[: picture.shape[1] // 2].any()
        and green.any()
    )


def test_another_driving_clip_forgets_the_person() -> None:
    request = jobs.Request("r", "a", "d", person="2")
    analysed = session.AnalysedInputs(request, None, None)
    visit = session.Visit("", analysed)
    assert next(handlers.changed(visit, "r", "a", "d", None)) == {}
    update = next(handlers.changed(visit, "r", "a", "e", None))
    assert "Inputs changed" in update["status"] and update["person"] == ""
    update = next(handlers.changed(visit, "r", "b", "d", None))
    assert "Inputs changed" in update["status"] and "person" not in update


def test_another_reference_image_forgets_the_speaker() -> None:
    request = jobs.Request("r", "a", "d", speaker="2")
    visit = session.Visit("", session.AnalysedInputs(request, None, None))
    assert next(handlers.changed(visit, "q", "a", "d", None))["speaker"] == ""
    assert "speaker" not in next(handlers.changed(visit, "r", "a", "e", None))


def test_a_speaker_is_chosen_by_number_or_point(address, files, tmp_path) -> None:
    client = Client(address, verbose=False)
    group = files["group.png"] = write_group(tmp_path / "group.png")
    look = {"height": 128, "width": 256}
    necks = {}
    for speaker in ("", "2", "0.25,0.4", "768,200"):
        _, _, notes, _ = analyse(client, files, image=group, speaker=speaker, **look)
        assert "2 people are found in the reference image" in notes
        necks[speaker] = np.median(drawn(client).body.xy[:, 1, 0])
        assert client.predict(api_name="/speakers") is not None
    assert abs(necks["768,200"] - 0.75) < 0.1 and abs(necks["0.25,0.4"] - 0.25) < 0.1
    assert abs(necks[""] - necks["2"]) > 0.3
    with pytest.raises(AppError, match="no person number 3 to speak"):
        analyse(client, files, image=group, speaker="3", **look)
    analyse(client, files)
    assert client.predict(api_name="/speakers") is None


@pytest.mark.parametrize("kind", ["npz", "json", "echomimic"])
def test_pose_files_of_every_kind_are_read(address, files, tmp_path, kind) -> None:
    pose = figure(20)
    path = tmp_path / ("p.json" if kind == "json" else "p.npz")
    if kind == "echomimic":
        arrays = {"candidate": pose.body, "hands": pose.hands, "faces": pose.face}
        scores = {"body_score": pose.body, "hands_score": pose.hands, "faces_score": pose.face}
        np.savez(
            path, **{n: p.xy for n, p in arrays.items()}, **{n: p.score for n, p in scores.items()}
        )
    else:
        pose_files.write(pose, path)
    files["own"] = str(path)
    client = Client(address, verbose=False)
    status, *_ = analyse(client, files, pose=str(path))
    assert "25 frames" in status
    again = drawn(client, intensity=0)
    assert (
        len(again) == 25
        and again.body.visible[:, [3, 4]].all()
        and np.ptp(again.body.xy[:, 4, 0]) > 0.01
    )


def test_the_overlay_clip_is_the_command_lines(address, files, tmp_path) -> None:
    client = Client(address, verbose=False)
    analyse(client, files)
    mine = video_of(client.predict(intensity=1, api_name="/overlay"))
    theirs = str(tmp_path / "over.mp4")
    written(files, tmp_path, "--overlay", theirs, audio="speech.wav")
    shown, told = (np.concatenate(list(media.read_video(path).chunks())) for path in (mine, theirs))
    assert (
        shown.shape == (25, 128, 128, 3)
        and np.array_equal(shown, told)
        and media.probe(theirs).has_audio
    )
