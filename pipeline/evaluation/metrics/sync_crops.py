"""Cut faces out of frames as SyncNet wants them, from key points that are known already.

The published scripts find faces with S3FD at a quarter of the size and skip faces under 100 pixels
without a word: a whole body at 768 x 512 gets no score. Key points find such faces, too, so that
every clip counts. Square, place, padding and smoothing are the published ones; the detector's box
is stood in for by `BOX_BY_FACE`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from scipy.signal import medfilt

from pipeline.models.syncnet import SIDE_PX
from pipeline.motion.curves import bridge
from pipeline.values import Keypoints

# Height of the detector's box over that of the 68 points, which end at the brows. A proportion of
# faces, not fitted to the detector: no published file was at hand for that.
BOX_BY_FACE = 1.3
MOST_MISSED_FRAMES = 25  # of a face that is lost and found again
LEAST_TRACK_FRAMES = 50  # LatentSync's; SyncNet's own script asks for 100
MEDIAN_FRAMES = 13
SIDE = 1.4  # half the square's side in half heights of the box
BELOW = 0.4  # of the square's middle under the box's, in half heights
PADDING = 110  # gray level outside the picture
SEEN_SHARE = 0.5  # of the face's points, for a frame with a face


def tracks(face: Keypoints) -> list[slice]:
    """Return the stretches of frames with a face, gaps of up to 25 frames bridged.

    Stretches under 50 frames are left out.
    """
    seen = face.visible.mean(1) > SEEN_SHARE
    frames = np.flatnonzero(seen)
    if not len(frames):
        return []
    breaks = np.flatnonzero(np.diff(frames) > MOST_MISSED_FRAMES + 1)
    firsts = np.append(frames[0], frames[breaks + 1])
    lasts = np.append(frames[breaks], frames[-1])
    found = []
    for first, last in zip(firsts, lasts, strict=True):
        if last - first + 1 >= LEAST_TRACK_FRAMES:
            found.append(slice(int(first), int(last) + 1))
    return found


def face_squares(face: Keypoints, size: tuple[int, int]) -> np.ndarray:
    """Return (T, 3) pixels: middle x, middle y and half height of the detector's box.

    Args:
        face: the 68 points of one track (see `tracks`).
        size: height and width of the picture.
    """
    height, width = size
    xy = face.xy * (width, height)
    left_top = xy.min(1)
    right_bottom = xy.max(1)
    wide, high = (right_bottom - left_top).T
    box_height = BOX_BY_FACE * high
    half = np.maximum(wide, box_height) / 2
    middle_x = (left_top[:, 0] + right_bottom[:, 0]) / 2
    middle_y = right_bottom[:, 1] - box_height / 2  # the box ends at the chin, as the points do
    squares = np.stack([middle_x, middle_y, half], 1)
    seen = face.visible.mean(1) > SEEN_SHARE
    filled, _ = bridge(squares, seen, MOST_MISSED_FRAMES)
    # As published the filter sees zeros beyond the ends.
    return np.stack([medfilt(column, MEDIAN_FRAMES) for column in filled.T], 1)


def crop(frames: Iterable[np.ndarray], squares: np.ndarray) -> np.ndarray:
    """Return mouths (T, 224, 224, 3) uint8 in the order BGR of RGB frames with their squares."""
    pairs = zip(frames, squares, strict=True)
    crops = [_crop(frame, *square) for frame, square in pairs]
    return np.stack(crops)


def _crop(frame: np.ndarray, x: float, y: float, half: float) -> np.ndarray:
    """Return one square of 2.8 half heights, a little below the face's middle."""
    margin = int(half * 2 * SIDE)
    padded = np.pad(frame, ((margin, margin), (margin, margin), (0, 0)), constant_values=PADDING)
    top = margin + y - half
    bottom = margin + y + half * (1 + 2 * BELOW)
    left = margin + x - half * SIDE
    right = margin + x + half * SIDE
    square = padded[_whole(top) : _whole(bottom), _whole(left) : _whole(right)]
    if not square.size:  # a face that lies outside the picture
        square = np.full((1, 1, 3), PADDING, np.uint8)
    resized = cv2.resize(square, (SIDE_PX, SIDE_PX))
    return np.ascontiguousarray(resized[..., ::-1])


def _whole(pixels: float) -> int:
    return max(0, int(pixels))


def cut_tracks(
    frames: Iterable[np.ndarray], face: Keypoints, size: tuple[int, int]
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield each track's frames and its mouths (T, 224, 224, 3); hold one track at a time."""
    rows = enumerate(frames)
    for track in tracks(face):
        squares = face_squares(face[track], size)
        wanted = (frame for row, frame in _until(rows, track.stop) if row >= track.start)
        yield track, crop(wanted, squares)


def _until(rows: Iterator[tuple[int, np.ndarray]], stop: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield numbered frames before `stop` and take no further one."""
    for row, frame in rows:
        yield row, frame
        if row + 1 >= stop:
            return
