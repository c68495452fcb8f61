"""media, animations and folders of frames: in by time, out with what the format can keep."""

import contextlib
import logging
import struct

import numpy as np
import pytest
from PIL import Image

from pipeline import media
from pipeline.media import animation_headers, animation_writer, pose_files
from pipeline.values import InputError, Video
from tests.helpers.media_files import disc, frames_of, tone
from tests.helpers.stick_person import figure

SIZE = (96, 128)
# the largest mean difference of bytes: 256 colors a frame, lossy WebP, lossless PNG
OUTPUTS = [("clip.gif", 3.0), ("clip.webp", 3.0), ("clip/", 0.0)]


def output(tmp_path, name: str) -> str:
    """The path as a user types it: `Path` would drop the ending slash."""
    return f"{tmp_path}/{name}"


def pages(count: int) -> list[Image.Image]:
    """Pictures whose red level is 20 times their number."""
    return [Image.new("RGB", (64, 80), (20 * t, 0, 0)) for t in range(count)]


def save_animation(path, count: int, duration: int | list[int], **options) -> None:
    first, *others = pages(count)
    if path.suffix == ".webp":
        options |= {"lossless": True}
    first.save(path, save_all=True, append_images=others, duration=duration, **options)


def numbers(clip: np.ndarray) -> list[int]:
    """The numbers of the pages that a clip shows."""
    return np.round(clip[:, 5, 5, 0] / 20).astype(int).tolist()


# ---- round trips


@pytest.mark.parametrize(("name", "tolerance"), OUTPUTS)
@pytest.mark.parametrize("fps", [12.5, 25.0, 30.0])
def test_written_frames_come_back(tmp_path, name, tolerance, fps):
    clip = disc(20, SIZE)
    path = output(tmp_path, name)
    assert media.write_video(path, Video(clip, fps)) == 20
    facts = media.probe(path)
    assert (facts.width, facts.height, facts.frames, facts.has_audio) == (128, 96, 20, False)
    assert abs(facts.seconds - 20 / fps) <= 0.006 and facts.fps == pytest.approx(fps, rel=0.01)
    back = frames_of(path)
    assert back.shape == clip.shape
    assert np.abs(back.astype(int) - clip)[:, :, 4:60].mean() <= tolerance


@pytest.mark.parametrize(("name", "tolerance"), OUTPUTS)
def test_every_writer_takes_odd_sizes_and_chunks(tmp_path, name, tolerance):
    clip = disc(6, (65, 67))
    path = output(tmp_path, name)
    with media.open_writer(path, 25, (65, 67)) as writer:
        writer.write(clip[:4])
        writer.write(clip[4:])
    assert writer.frames == 6 and frames_of(path).shape == clip.shape


@pytest.mark.parametrize("name", [name for name, _ in OUTPUTS])
def test_settings_come_back(tmp_path, name):
    settings = {"intensity": 1.5, "text": "größer " * 99}
    path = output(tmp_path, name)
    media.write_video(path, Video(disc(3), 25), settings)
    assert media.read_settings(path) == settings
    other = output(tmp_path, f"other_{name}")
    media.write_video(other, Video(disc(3), 25))
    assert media.read_settings(other) is None


@pytest.mark.parametrize("name", [name for name, _ in OUTPUTS])
def test_an_interrupt_keeps_the_frames_written(tmp_path, name):
    path = output(tmp_path, name)
    with pytest.raises(KeyboardInterrupt), media.open_writer(path, 25, SIZE) as writer:
        writer.write(disc(7))
        raise KeyboardInterrupt
    assert writer.frames == 7 and media.probe(path).frames == 7
    assert not list(tmp_path.rglob(".apv-*"))


@pytest.mark.parametrize("name", [name for name, _ in OUTPUTS])
def test_without_a_frame_nothing_appears(tmp_path, name):
    with media.open_writer(output(tmp_path, name), 25, SIZE):
        pass
    assert list(tmp_path.iterdir()) == []


def test_one_frame_is_a_picture(tmp_path):
    for name in ("a.gif", "a.webp"):
        media.write_video(tmp_path / name, Video(disc(1), 25))
        assert media.is_picture(tmp_path / name)
        assert media.read_image(tmp_path / name).shape == (96, 128, 3)
        with pytest.raises(ValueError, match="still picture|cannot be read"):
            media.read_video(tmp_path / name)


def test_sound_is_left_out_with_a_warning(tmp_path, caplog):
    for name, _ in OUTPUTS:
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            media.write_video(output(tmp_path, name), Video(disc(2), 25, tone(0.1)))
        assert "has no sound: its format holds none" in caplog.text


def test_a_still_stretch_keeps_its_length(tmp_path):
    clip = np.concatenate([disc(2), np.repeat(disc(1), 10, axis=0), disc(2)])
    media.write_video(tmp_path / "a.gif", Video(clip, 25))
    assert media.probe(tmp_path / "a.gif").seconds == pytest.approx(14 / 25)
    back = frames_of(tmp_path / "a.gif", fps=25)
    assert len(back) == 14 and np.abs(back.astype(int) - clip)[:, :, 4:60].mean() <= 3


def test_a_skeleton_goes_into_an_animation_without_a_pose_beside_it(tmp_path):
    for name, _ in OUTPUTS:
        path = output(tmp_path, name)
        assert pose_files.write_skeleton(figure(4), path, SIZE) is None
        assert media.probe(path).frames == 4 and not pose_files.is_pose(path)
        assert media.read_settings(path)["skeleton"] == "preview"
    assert not list(tmp_path.rglob("*.npz"))


# ---- writers refuse


@pytest.mark.parametrize("name", [name for name, _ in OUTPUTS])
def test_an_output_that_cannot_be_opened_gets_a_sentence(tmp_path, name):
    with pytest.raises(ValueError, match="cannot be written .*choose a folder"):
        media.open_writer(output(tmp_path, f"none/{name}"), 25, SIZE)
    with pytest.raises(ValueError, match="fps is 0"):
        media.open_writer(output(tmp_path, name), 0, SIZE)
    with pytest.raises(ValueError, match="video size is 10x0"):
        media.open_writer(output(tmp_path, name), 25, (0, 10))
    with pytest.raises(ValueError, match="settings cannot be kept"):
        media.open_writer(output(tmp_path, name), 25, SIZE, settings={"x": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_fast_gif_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`fps` is 60, and a GIF shows at most 50; lower it"):
        media.open_writer(tmp_path / "a.gif", 60, SIZE)


def test_an_animation_that_would_fill_the_memory_is_refused_before_and_on_the_way(
    tmp_path, monkeypatch
):
    with pytest.raises(ValueError, match="a.gif would have over 1271 frames of 512x768 pixels"):
        media.open_writer(tmp_path / "a.gif", 25, (768, 512), expected_frames=1272)
    monkeypatch.setattr(animation_writer, "MAX_ANIMATION_PIXELS", 5 * SIZE[0] * SIZE[1])
    with (
        pytest.raises(ValueError, match="would have over 5 frames"),
        media.open_writer(tmp_path / "a.webp", 25, SIZE) as writer,
    ):
        writer.write(disc(4))
        writer.write(disc(4))
    assert media.probe(tmp_path / "a.webp").frames == 4


def test_a_folder_with_frames_is_not_mixed(tmp_path):
    path = output(tmp_path, "clip/")
    media.write_video(path, Video(disc(2), 25))
    with pytest.raises(ValueError, match="already holds numbered pictures"):
        media.open_writer(path, 25, SIZE)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file; give the name of a folder"):
        media.open_writer(output(tmp_path, "file/"), 25, SIZE)


# ---- animations in


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_each_frame_stays_as_long_as_the_file_says(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    save_animation(path, 4, [100, 300, 40, 160])
    facts = media.probe(path)
    assert (facts.width, facts.height) == (64, 80) and facts.seconds == pytest.approx(0.6)
    assert numbers(frames_of(path, fps=25)) == [0] * 2 + [1] * 8 + [2] + [3] * 4
    assert numbers(frames_of(path, fps=10)) == [0, 1, 1, 1, 3, 3]
    assert numbers(frames_of(path, fps=10, seconds=0.2)) == [0, 1]


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_a_frame_without_a_length_stays_as_browsers_show_it(tmp_path, suffix):
    save_animation(tmp_path / f"a.{suffix}", 5, 0)
    assert media.probe(tmp_path / f"a.{suffix}").seconds == pytest.approx(0.5)


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_transparent_parts_are_white(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    frames = []
    for t in range(3):
        rgba = np.zeros((80, 64, 4), np.uint8)
        rgba[10 * t :, 32:] = (200, 0, 0, 255)
        frames.append(Image.fromarray(rgba))
    options = {"lossless": True} if suffix == "webp" else {"disposal": 2}
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, **options)
    clip = frames_of(path, fps=10)
    assert len(clip) == 3 and (clip[:, :, :32] == 255).all()
    assert (clip[2, :20, 32:] == 255).all() and (clip[2, 20:, 32:] == (200, 0, 0)).all()


def test_an_animation_is_shrunk_by_area(tmp_path):
    save_animation(tmp_path / "a.webp", 3, 40)
    assert frames_of(tmp_path / "a.webp", max_side=40).shape == (3, 40, 32, 3)


def test_the_name_does_not_decide(tmp_path):
    save_animation(tmp_path / "a.webp", 3, 100)
    (tmp_path / "a.webp").rename(tmp_path / "a.mp4")
    assert numbers(frames_of(tmp_path / "a.mp4", fps=10)) == [0, 1, 2]


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_a_cut_off_animation_gives_its_whole_frames(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (6, 80, 64, 3), dtype=np.uint8)
    frames = [Image.fromarray(frame) for frame in noise]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])
    assert 2 <= media.probe(path).frames < 6
    try:
        clip = frames_of(path, fps=10)
    except ValueError as error:  # Pillow opens no cut off WebP
        assert suffix == "webp" and "cannot be decoded" in str(error)
    else:
        assert 2 <= len(clip) < 6


@pytest.mark.parametrize("suffix", ["gif", "webp"])
@pytest.mark.parametrize("length", [14, 25, 40])
def test_a_damaged_header_gets_a_sentence(tmp_path, suffix, length):
    path = tmp_path / f"a.{suffix}"
    save_animation(path, 3, 100)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match="whole frame|damaged|cannot be read|still") as caught:
        media.read_video(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_any_changed_byte_gives_a_result_or_a_sentence(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    save_animation(path, 3, 100)
    whole = path.read_bytes()
    for place in range(min(len(whole), 150)):
        for value in (0x00, 0x21, 0xFF):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            for read in (media.is_picture, media.read_settings, frames_of):
                with contextlib.suppress(InputError):
                    read(path)


def test_huge_animations_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    path = tmp_path / "a.gif"
    save_animation(path, 3, 100)
    whole = bytearray(path.read_bytes())
    for sides, sentence in (((9000, 80), "9000x80 pixels; shrink it to at most 8192"),
                            ((8190, 8190), "over 64 megapixels")):  # fmt: skip
        whole[6:10] = struct.pack("<2H", *sides)
        path.write_bytes(whole)
        with pytest.raises(ValueError, match=sentence):
            media.read_video(path)
    save_animation(path, 3, [400_000, 300_000, 100])
    with pytest.raises(ValueError, match="lasts over 600 s"):
        media.read_video(path)
    assert numbers(frames_of(path, fps=0.5, seconds=10)) == [0] * 5
    monkeypatch.setattr(animation_headers, "MAX_FRAMES", 2)
    with pytest.raises(ValueError, match="a.gif has over 2 frames"):
        media.read_video(path)


# ---- folders in


def save_frames(folder, names: list[str]) -> str:
    folder.mkdir(exist_ok=True)
    for name, page in zip(names, pages(len(names)), strict=True):
        page.save(folder / name, quality=95)
    return str(folder)


@pytest.mark.parametrize(
    "names",
    [
        ["1.png", "2.png", "10.png", "11.png"],
        ["shot_0001.JPG", "shot_0002.jpg", "shot_0005.jpeg", "shot_0100.png"],
    ],
)
def test_numbered_pictures_are_a_clip_in_order_of_number(tmp_path, names):
    folder = save_frames(tmp_path / "clip", names)
    (tmp_path / "clip" / "notes.txt").write_text("not a picture")
    (tmp_path / "clip" / ".0001.png").write_text("hidden")
    facts = media.probe(folder)
    assert (facts.width, facts.height, facts.fps, facts.frames) == (64, 80, 25, 4)
    assert numbers(frames_of(folder)) == [0, 1, 2, 3]
    assert numbers(frames_of(folder, fps=12.5)) == [1, 3]
    assert frames_of(folder, max_side=40).shape == (4, 40, 32, 3)
    assert not media.is_picture(folder) and not pose_files.is_pose(folder)


def test_a_folder_of_key_points_stays_a_pose_though_pictures_lie_beside_them(tmp_path):
    pose_files.write(figure(3), tmp_path / "clip")
    save_frames(tmp_path / "clip", ["clip_0_rendered1.png", "clip_1_rendered2.png"])
    assert pose_files.is_pose(tmp_path / "clip")
    (tmp_path / "empty").mkdir()
    assert pose_files.is_pose(tmp_path / "empty")
    with pytest.raises(ValueError, match="no .*_keypoints.json and no numbered pictures"):
        pose_files.read(tmp_path / "empty")


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["notes.png"], "holds no numbered pictures; give PNG or JPEG"),
        (["a_1.png", "b_2.png"], r"mixes the pictures a_\* and b_\*"),
        (["1.png", "01.png"], "holds the frame 1 twice"),
    ],
)
def test_senseless_folders_are_refused(tmp_path, names, sentence):
    folder = save_frames(tmp_path / "clip", names)
    with pytest.raises(ValueError, match=sentence):
        media.read_video(folder)


def test_frames_of_another_size_or_damaged_are_named(tmp_path):
    folder = save_frames(tmp_path / "clip", ["1.png", "2.png", "3.png"])
    Image.new("RGB", (80, 80)).save(tmp_path / "clip" / "2.png")
    with pytest.raises(ValueError, match="2.png is 80x80 pixels, the first one .* 64x80"):
        frames_of(folder)
    (tmp_path / "clip" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ValueError, match="2.png is (damaged|not a picture)"):
        frames_of(folder)


def test_a_changed_frame_changes_the_folders_hash(tmp_path):
    folder = save_frames(tmp_path / "clip", ["1.png", "2.png"])
    before = media.content_hash(folder)
    assert media.content_hash(folder) == before
    Image.new("RGB", (64, 80)).save(tmp_path / "clip" / "2.png")
    assert media.content_hash(folder) != before
