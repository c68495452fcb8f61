"""HDR clips look as their SDR versions: white is white, grays are gray, colors keep their hue."""

import numpy as np
import pytest

from pipeline.media.hdr import HLG, PQ
from tests.helpers.media_files import frames_of, save_hdr

SIZE = (64, 96)
BT709_TO_2020 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
)
COLORS = {
    "white": (255, 255, 255),
    "gray": (128, 128, 128),
    "skin": (200, 150, 130),
    "red": (200, 30, 30),
    "black": (0, 0, 0),
}


def light_of(color: tuple[int, int, int]) -> np.ndarray:
    """Return the linear light (3,) of an sRGB color."""
    share = np.array(color) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def pq(nits: np.ndarray) -> np.ndarray:
    power = (nits / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(nits: np.ndarray) -> np.ndarray:
    """Return the signal for light on a screen of 1000 cd/m2; the inverse of the system's gamma."""
    shown = nits / 1000
    luminance = max(float(shown @ (0.2627, 0.6780, 0.0593)), 1e-9)
    scene = shown * luminance ** (1 / 1.2 - 1)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


def shown(tmp_path, signal_of, transfer: int, color, white_nits: float) -> np.ndarray:
    """Return what is read of a color in the upper half, beside white in the lower half."""
    half = SIZE[0] // 2
    signal = np.zeros((*SIZE, 3))
    signal[:half] = signal_of(white_nits * (BT709_TO_2020 @ light_of(color)))
    signal[half:] = signal_of(white_nits * np.ones(3))
    save_hdr(tmp_path / "hdr.mp4", np.clip(signal, 0, 1), transfer)
    return frames_of(tmp_path / "hdr.mp4")[0, 10, 48].astype(int)


@pytest.mark.parametrize(("signal_of", "transfer"), [(pq, PQ), (hlg, HLG)])
@pytest.mark.parametrize("white_nits", [100.0, 203.0])
def test_colors_are_shown_as_in_sdr(tmp_path, signal_of, transfer, white_nits) -> None:
    for name, color in COLORS.items():
        read = shown(tmp_path, signal_of, transfer, color, white_nits)
        limit = 20 if name == "white" else 10  # the room for brighter light is taken from white
        assert np.abs(read - color).max() <= limit, (name, read)


def test_light_above_white_is_compressed_and_keeps_its_hue(tmp_path) -> None:
    half = SIZE[0] // 2
    signal = np.zeros((*SIZE, 3))
    signal[:half] = pq(BT709_TO_2020 @ np.array([900.0, 300.0, 300.0]))
    signal[half:] = pq(203 * np.ones(3))
    save_hdr(tmp_path / "hdr.mp4", signal, PQ)
    pictures = frames_of(tmp_path / "hdr.mp4")[0].astype(int)
    bright, white = pictures[10, 48], pictures[50, 48]
    assert bright[0] > white[0] and bright[0] <= 255
    assert abs(light_of(bright)[1] / light_of(bright)[0] - 1 / 3) < 0.05


def test_a_dark_first_frame_does_not_set_white(tmp_path) -> None:
    signal = np.broadcast_to(pq(np.array([5.0, 5.0, 5.0])), (*SIZE, 3))
    save_hdr(tmp_path / "hdr.mp4", signal, PQ)
    dark = frames_of(tmp_path / "hdr.mp4")[0, 10, 48]
    assert 30 < dark.mean() < 60


def test_tags_that_are_not_hdr_leave_a_clip_as_it_is(tmp_path) -> None:
    save_hdr(tmp_path / "sdr.mp4", np.full((*SIZE, 3), 0.5), transfer=1, primaries=1)
    assert abs(frames_of(tmp_path / "sdr.mp4")[0, 10, 48].mean() - 127.5) < 4
