"""Cut a video into shots where its picture changes at once, and long shots into pieces.

FFmpeg's `scdet` filter looks for cuts, through PyAV. PySceneDetect would bring opencv-python, whose
files take the place of opencv-contrib-python's, which the renderer needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import av
import av.filter
import numpy as np

from pipeline.values import Video

SHOT_SIDE_PX = 256  # longer side of the pictures in which cuts are looked for
# Score of a cut, from 0 to 100. Cuts between 22 clips score 7.8 to 48, those between two people
# before one wall 6.1; frames of one shot 3.9 at most, but for two with flashes of 8 and 9.
LEAST_SCORE = 5.0
LEAST_SHOT_SECONDS = 0.2  # a cut sooner after the last one is a flash
TIME_BASE = Fraction(1, 1000)  # a frame's number is its time


def find_shots(video: Video) -> list[slice]:
    """Return the rows of a video's shots in order; one without cuts is one shot."""
    least_frames = LEAST_SHOT_SECONDS * video.fps
    starts = [0]
    count = 0
    for score in _scores(video):
        if score >= LEAST_SCORE and count - starts[-1] >= least_frames:
            starts.append(count)
        count += 1
    if not count:
        return []
    stops = [*starts[1:], count]
    return [slice(start, stop) for start, stop in zip(starts, stops, strict=True)]


def split(shot: slice, most_frames: int) -> list[slice]:
    """Split a shot into as few pieces of about equal length as hold at most `most_frames`."""
    frames = shot.stop - shot.start
    count = math.ceil(frames / most_frames)
    edges = [shot.start + frames * number // count for number in range(count + 1)]
    pieces = []
    for number in range(count):
        piece = slice(edges[number], edges[number + 1])
        pieces.append(piece)
    return pieces


def _scores(video: Video) -> Iterator[float]:
    """Yield for each frame how probably a shot begins with it, 0 to 100."""
    graph: av.filter.Graph | None = None
    number = 0
    for chunk in video.chunks():
        for picture in chunk:
            frame = _frame(picture, number)
            number += 1
            if graph is None:
                graph = _graph(frame)
            graph.vpush(frame)
            yield from _pulled(graph)
    if graph is not None:
        graph.vpush(None)
        yield from _pulled(graph)


def _frame(picture: np.ndarray, number: int) -> av.VideoFrame:
    """Return a picture (H,W,3) as the filter takes it."""
    pixels = np.ascontiguousarray(picture)
    frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
    frame = frame.reformat(format="yuv420p")
    frame.pts = number
    frame.time_base = TIME_BASE
    return frame


def _graph(frame: av.VideoFrame) -> av.filter.Graph:
    """Build the filter for frames like this one."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format.name, time_base=TIME_BASE
    )
    detector = graph.add("scdet")
    sink = graph.add("buffersink")
    source.link_to(detector)
    detector.link_to(sink)
    graph.configure()
    return graph


def _pulled(graph: av.filter.Graph) -> Iterator[float]:
    """Yield the scores of the frames that have passed the filter."""
    while True:
        try:
            frame = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield float(frame.metadata.get("lavfi.scd.score", 0))
