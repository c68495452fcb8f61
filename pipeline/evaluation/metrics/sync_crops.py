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
SIDE = 1.4  # half the square's side in half heights of the box, whose upper edge is the square's
PADDING = 110  # gray level outside the picture
SEEN_SHARE = 0.5  # of the face's points, for a frame with a face


def tracks(face: Keypoints) -> list[slice]:
    """Return the stretches of frames with a face, gaps of up to 25 frames bridged.

    Stretches under 50 frames are left out.
    """
    (frames,) = np.nonzero(_seen(face))
    if not len(frames):
        return []
    missed = np.diff(frames) - 1
    (breaks,) = np.nonzero(missed > MOST_MISSED_FRAMES)
    found = []
    for run in np.split(frames, breaks + 1):
        first = int(run[0])
        stop = int(run[-1]) + 1
        if stop - first >= LEAST_TRACK_FRAMES:
            found.append(slice(first, stop))
    return found


def face_squares(face: Keypoints, size: tuple[int, int]) -> np.ndarray:
    """Return (T, 3) pixels: middle x, middle y and half height of the detector's box.

    Args:
        face: the 68 points of one track (see `tracks`).
        size: height and width of the picture.
    """
    height, width = size
    xy = face.xy * (width, height)
    left, top = xy.min(1).T
    right, bottom = xy.max(1).T
    box_height = BOX_BY_FACE * (bottom - top)
    width_or_height = np.maximum(right - left, box_height)
    # Wild points must not ask for a picture of any size.
    largest = max(size)
    half = np.minimum(width_or_height / 2, largest)
    middle_x = (left + right) / 2
    middle_y = bottom - box_height / 2  # the box ends at the chin, as the points do
    squares = np.stack([middle_x, middle_y, half], 1)
    filled, _ = bridge(squares, _seen(face), MOST_MISSED_FRAMES)
    # As published the filter sees zeros beyond the ends.
    return medfilt(filled, (MEDIAN_FRAMES, 1))


def _seen(face: Keypoints) -> np.ndarray:
    """Return the frames (T,) bool with a face."""
    share = face.visible.mean(1)
    return share > SEEN_SHARE


def crop(frames: Iterable[np.ndarray], squares: np.ndarray) -> np.ndarray:
    """Return mouths (T, 224, 224, 3) uint8 in the order BGR of RGB frames with their squares.

    T is the smaller number of both.
    """
    crops = []
    for square, frame in zip(squares, frames, strict=False):
        cut = _cut(frame, *square)
        resized = cv2.resize(cut, (SIDE_PX, SIDE_PX))
        crops.append(resized[..., ::-1])
    if not crops:
        return np.zeros((0, SIDE_PX, SIDE_PX, 3), np.uint8)
    return np.stack(crops)


def _cut(frame: np.ndarray, x: float, y: float, half: float) -> np.ndarray:
    """Return the square of 2.8 half heights, a little below the face's middle."""
    margin = int(half * 2 * SIDE)
    sides = (margin, margin)
    padded = np.pad(frame, (sides, sides, (0, 0)), constant_values=PADDING)
    below = half * (2 * SIDE - 1)
    beside = half * SIDE
    middle_x = margin + x
    middle_y = margin + y
    rows = _between(middle_y - half, middle_y + below)
    columns = _between(middle_x - beside, middle_x + beside)
    cut = padded[rows, columns]
    if cut.size:
        return cut
    return np.full((1, 1, 3), PADDING, np.uint8)  # a face that lies outside the picture


def _between(start: float, stop: float) -> slice:
    """Return whole pixels, none below 0."""
    first = max(0, int(start))
    after_last = max(0, int(stop))
    return slice(first, after_last)


def cut_tracks(
    frames: Iterable[np.ndarray], face: Keypoints, size: tuple[int, int]
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield each track's frames and its mouths (T, 224, 224, 3); hold one track at a time.

    A video may end before its key points: the last track then ends with it.
    """
    rows = enumerate(frames)
    for track in tracks(face):
        squares = face_squares(face[track], size)
        wanted = (frame for row, frame in _until(rows, track.stop) if row >= track.start)
        crops = crop(wanted, squares)
        stop = track.start + len(crops)
        if len(crops) >= LEAST_TRACK_FRAMES:
            yield slice(track.start, stop), crops


def _until(rows: Iterator[tuple[int, np.ndarray]], stop: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield numbered frames before `stop` and take no further one."""
    for row, frame in rows:
        yield row, frame
        if row + 1 >= stop:
            return
