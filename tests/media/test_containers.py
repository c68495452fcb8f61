"""Outputs by their names: each container, endings that are refused, links, pipes, devices."""

import os

import av
import numpy as np
import pytest

from pipeline import media
from pipeline.media.containers import CONTAINERS
from pipeline.studio.cli.output_files import check_outputs
from pipeline.values import InputError, Video
from tests.helpers.media_files import disc, frames_of, tone

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}


@pytest.mark.parametrize("ending", CONTAINERS)
@pytest.mark.parametrize("preset", ["medium", "ultrafast"])
def test_each_container_holds_frames_sound_and_settings(tmp_path, caplog, ending, preset) -> None:
    path = tmp_path / f"a{ending}"
    clip = disc(12)
    media.write_video(path, Video(clip, 25.0, tone(0.48)), {"seed": 3}, preset=preset)
    assert caplog.messages == []
    with av.open(str(path)) as container:
        assert FORMATS[ending] in container.format.name
        assert len(container.streams.audio) == 1
    facts = media.probe(path)
    assert facts.fps == 25 and facts.has_audio
    read = frames_of(path, fps=25)
    assert len(read) == 12 and np.abs(read.astype(int) - clip).mean() < 8
    assert media.read_settings(path) == {"seed": 3}
    sound = media.read_audio(path)
    assert abs(sound.seconds - 0.48) < 0.045
    assert np.sqrt(np.square(sound.samples).mean()) == pytest.approx(0.5 / 2**0.5, rel=0.15)


@pytest.mark.parametrize("name", ["a", "a.png", "a.avi", "a.mp5", "a.wav", ".mp4"])
def test_other_endings_are_refused_with_the_possible_ones(tmp_path, name) -> None:
    for write in (
        lambda path: media.open_writer(path, 25, (96, 128)),
        media.check_ending,
        lambda path: check_outputs([path], [], videos=[path]),
    ):
        with pytest.raises(InputError, match=r"\.mkv.*\.webm.*\.gif"):
            write(str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".gif"])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_link_is_followed(tmp_path, ending, is_new) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / f"real{ending}"
    if not is_new:
        target.write_bytes(b"old")
    link = tmp_path / f"link{ending}"
    link.symlink_to(target)
    media.write_video(link, Video(disc(3), 25.0))
    assert link.is_symlink() and media.probe(target).frames == 3
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("ending", [".mp4", ".gif"])
def test_pipes_devices_and_circles_are_refused_and_stay(tmp_path, ending) -> None:
    pipe = tmp_path / f"pipe{ending}"
    os.mkfifo(pipe)
    device = tmp_path / f"device{ending}"
    device.symlink_to("/dev/null")
    circle = tmp_path / f"circle{ending}"
    circle.symlink_to(circle)
    for path in (pipe, device, circle):
        with pytest.raises(InputError):
            media.open_writer(path, 25, (96, 128))
    for path in (pipe, device):
        with pytest.raises(InputError):
            check_outputs([str(path)], [])
    assert pipe.is_fifo() and device.is_symlink() and not os.path.isfile("/dev/null")
