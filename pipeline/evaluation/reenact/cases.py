"""A clip as a case: its reference frame, what drives it, and the truth to compare with.

Nothing here depends on a renderer. Detections come from the cache of the analysis, so that a second
preparation costs little more than reading the clip.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from pipeline import media
from pipeline.analysis import detectors
from pipeline.analysis.detectors import cache
from pipeline.analysis.driving import DrivingVideo
from pipeline.analysis.framing import detect_reference, output_size
from pipeline.analysis.progress import finish
from pipeline.evaluation.reenact import regions
from pipeline.models.model_settings import ModelSettings
from pipeline.motion import timing
from pipeline.motion.keypoints import LEFT_HAND, RIGHT_HAND
from pipeline.values import Detection, InputError, Keypoints, Motion, Pose

DETECTED_FPS = 25.0  # at which the clip's key points are found and smoothed, as in the analysis
FRAME_STEP = 2  # every second frame is rendered and measured
FPS = DETECTED_FPS / FRAME_STEP
REFERENCE_SECONDS = 1.0  # the reference is the best frame of the first second
LEAST_FRAMES = 4  # of a clip, the reference included


@dataclass(frozen=True)
class Case:
    """One clip that reenacts itself: T frames at FPS, without the reference frame.

    Args:
        name: The file's name without its ending.
        image: The reference frame (H, W, 3) uint8 at the clip's own size.
        motion: The clip's own key points, as detected and smoothed, without sound.
        truth: The true frames (T, h, w, 3) uint8 at the model's output size.
        seen: What the detector finds in each true frame on its own.
        regions: Where person, face and hands are in the truth, each (T, h, w) bool, by name.
        still: (T, h, w) bool, the background that is unchanged since the reference frame.
    """

    name: str
    image: np.ndarray
    motion: Motion
    truth: np.ndarray
    seen: Pose
    regions: dict[str, np.ndarray]
    still: np.ndarray

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def size(self) -> tuple[int, int]:
        """The (h, w) of the frames."""
        height, width = self.truth.shape[1:3]
        return height, width


def prepare(clip: Path, settings: ModelSettings | None = None, seconds: float = 3.0) -> Case:
    """Prepare the first `seconds` of a clip for frames of the size that the model's settings ask.

    Raises InputError where the first second shows nobody with a face, or the clip is too short.
    """
    settings = settings or ModelSettings()
    pictures, pose = read(clip, seconds)
    size = output_size(pose.size, settings.area, settings.multiple)
    truth = np.stack([resized(picture, size) for picture in pictures])
    detector = detectors.load()
    found = [look(detector, frame) for frame in truth]
    chosen = choose_reference(found)
    if chosen is None:
        raise InputError(
            f"the first second of {clip.name} shows nobody with a face; "
            "give a clip of one person who is seen from the front at its start"
        )
    image = pictures[chosen]
    detection = detect_reference(image, detectors.DEFAULT)
    rows = np.delete(np.arange(len(truth)), chosen)
    masks = np.stack([mask_of(sight, size) for sight in found])
    kept_pose = pose[rows]
    return Case(
        name=clip.stem,
        image=image,
        motion=silent_motion(kept_pose, detection),
        truth=truth[rows],
        seen=joined([found[row] for row in rows], size),
        regions=regions.places(masks[rows], kept_pose, size),
        still=regions.still_background(truth, masks, chosen)[rows],
    )


def read(clip: Path, seconds: float) -> tuple[list[np.ndarray], Pose]:
    """Return every FRAME_STEP-th frame (H, W, 3) of a clip and the pose of its largest person."""
    length = min(seconds, media.probe(clip).seconds)
    frames = max(1, round(length * DETECTED_FPS))
    driving = DrivingVideo(clip, length)
    detection = finish(driving.people(DETECTED_FPS, frames, detectors.DEFAULT))
    if not detection.people:
        raise InputError(f"nobody is seen in {clip.name}; give a clip of one person")
    every_frame = driving.pictures(DETECTED_FPS, frames)
    pictures = list(itertools.islice(every_frame, 0, None, FRAME_STEP))
    pose = timing.fill_gaps(detection.people[0])[::FRAME_STEP]
    count = min(len(pictures), len(pose))
    if count < LEAST_FRAMES:
        raise InputError(f"{clip.name} is too short; give a clip of at least half a second")
    return pictures[:count], replace(pose[:count], fps=FPS)


def resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a picture (H, W, 3) uint8 to `size` (h, w) as the renderer resizes its reference."""
    height, width = size
    shrinks = picture.shape[0] > height
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(picture, (width, height), interpolation=interpolation)


def look(detector: detectors.Detector, frame: np.ndarray) -> Detection | None:
    """Detect the people of one frame on its own; None where there is nobody."""
    try:
        return cache.image(detector, frame)
    except InputError:
        return None


def choose_reference(found: Sequence[Detection | None]) -> int | None:
    """Return the row of the frame of the first second that shows most; None without any face.

    What a frame shows is the sum of four mean scores: of the face, of each hand and of the body.
    The first of equally good frames is chosen.
    """
    count = round(REFERENCE_SECONDS * FPS)
    scores = [shown(sight) for sight in found[:count]]
    best = int(np.argmax(scores))
    return best if scores[best] > 0 else None


def shown(sight: Detection | None) -> float:
    """Return how much a frame shows of its largest person, 0 to 4; 0 without a face."""
    if sight is None:
        return 0.0
    person = sight.people[0]
    if not person.face.visible.any():
        return 0.0
    hands = person.hands.score[0]
    left = hands[LEFT_HAND].mean()
    right = hands[RIGHT_HAND].mean()
    face = person.face.score.mean()
    body = person.body.score.mean()
    return float(face + left + right + body)


def mask_of(sight: Detection | None, size: tuple[int, int]) -> np.ndarray:
    """Return where (h, w) bool the largest person is; nowhere without a detection."""
    if sight is None or not sight.masks:
        return np.zeros(size, bool)
    return sight.masks[0] > regions.INSIDE


def joined(found: Sequence[Detection | None], size: tuple[int, int]) -> Pose:
    """Join the largest person of each frame to one pose; missing in frames without anybody."""
    nobody = Pose.empty(1, FPS, size)
    people = [nobody if sight is None else sight.people[0] for sight in found]
    return Pose(
        _joined_points([person.body for person in people]),
        _joined_points([person.hands for person in people]),
        _joined_points([person.face for person in people]),
        FPS,
        size,
    )


def _joined_points(parts: Sequence[Keypoints]) -> Keypoints:
    """Join key points of one frame each."""
    places = np.concatenate([part.xy for part in parts])
    scores = np.concatenate([part.score for part in parts])
    return Keypoints(places, scores)


def silent_motion(pose: Pose, detection: Detection) -> Motion:
    """Make the motion of a pose as it is: no intensity, no splice, no retargeting, no sound."""
    frames = len(pose)
    reference = replace(detection.people[0], fps=pose.fps)
    return Motion(
        pose=pose,
        reference=reference,
        mask=detection.masks[0] if detection.masks else None,
        mesh=None,
        intensity=np.zeros(frames),
        excitation=np.zeros(frames),
        control_strength=np.ones(frames),
        audio_tokens=np.zeros((frames, 0, 0), np.float32),
    )
