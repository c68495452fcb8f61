"""Inputs -> `Analysis`: the first half, without any video backbone."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np

from pipeline.analysis import close_portraits, covered_mouth, speakers
from pipeline.analysis.covered_mesh import mesh_under_cloth
from pipeline.analysis.driving import Driving, DrivingPose, DrivingVideo
from pipeline.analysis.framing import detect_reference
from pipeline.analysis.talking_face import SpeechNetwork, TalkingFace, predict_face
from pipeline.motion import absence, fda, retarget, timing
from pipeline.motion.accents import edit
from pipeline.motion.false_faces import without_false_faces
from pipeline.motion.gestures import beats
from pipeline.motion.gestures.head import draw_head_motion, talking_head
from pipeline.motion.keypoints import CHIN, NOSE_ROOT
from pipeline.motion.prosody import Prosody
from pipeline.motion.prosody import analyse as analyse_prosody
from pipeline.values import Audio, Detection, InputError, Keypoints, Motion, Pose, Progress

MAX_FPS = 60.0
MAX_OFFSET_MS = 1000.0
# Of the face's height from the nose's root to the chin: a mouth that opens by less hears no speech
STILL_MOUTH = 0.01
INNER_LIP_TOP = 62
INNER_LIP_BOTTOM = 66
TINY = 1e-6
SILENT_RMS = 1e-3  # -60 dBFS; below it the speech is called silent
# Second part of the seed of the gestures; it keeps their random numbers apart from the head's.
BEATS_STREAM = 1


@dataclass(frozen=True)
class AnalysisOptions:
    """Every choice of the user that the analysis depends on.

    Attributes:
        fps: frame rate of the motion.
        detector: name of the pose detector.
        box: the face box of the FDA, "rigid" or "paper".
        splice: the face points that the sound moves, one of `fda.REGIONS`.
        length: how a short driving clip is continued, one of `timing.LENGTHS`.
        alignment: how the driving body is put on the reference's.
        amplitude: factor on the mouth's movement.
        seed: of the head's movement and of generated gestures.
        accents: (N,2) seconds and strengths instead of the detected ones.
        audio_offset: ms by which the mouth comes later than the sound.
        gestures: without a driving clip, one of `beats.MODES`; None = what suits the reference.
        speaker: who speaks in the reference image: a number from 1, or a point; see `speakers`.
        prosody: what the intensity is made of, one of `prosody.CHOICES`.
    """

    fps: float = 25.0
    detector: str = "holistic"
    box: str = "rigid"
    splice: str = "face"
    length: str = "pingpong"
    alignment: retarget.Alignment = retarget.ALIGNMENT
    amplitude: float = 1.0
    seed: int = 0
    accents: np.ndarray | None = None
    audio_offset: float = 0.0
    gestures: str | None = None
    speaker: retarget.Person | None = None
    prosody: str = "full"

    def __post_init__(self) -> None:
        if not 1 <= self.fps <= MAX_FPS:
            raise InputError(f"fps is {self.fps:g}; give a value from 1 to {MAX_FPS:g}")


@dataclass(frozen=True)
class Analysis:
    """What is known before the slider moves: aligned motion, prosody, report, warnings.

    people: those of the driving clip, in the order of their numbers.
    """

    motion: Motion
    prosody: Prosody
    report: retarget.Report | None
    warnings: tuple[str, ...]
    people: tuple[Pose, ...] = ()


def analyse(
    network: SpeechNetwork,
    picture: np.ndarray,
    audio: Audio,
    driving: Driving | None,
    options: AnalysisOptions,
) -> Generator[Progress, None, Analysis]:
    """Detect, predict the face, align and splice.

    Return the `Analysis`. The intensity slider is applied later, in `refocus`.

    Args:
        network: predicts the face from the speech.
        picture: (H,W,3) uint8, the reference image, cropped to the output's aspect.
        audio: the speech; the motion lasts as long.
        driving: what drives the body, or None for generated gestures.
        options: the user's choices.
    """
    fps = options.fps
    yield Progress("read inputs", 0, 1)
    detection = detect_reference(picture, options.detector)
    detection = speakers.with_speaker(detection, options.speaker)
    yield Progress("detect reference image", 1, 1)
    reference = replace(detection.people[0], fps=fps)
    frames = audio.frames(fps)
    prosody = analyse_prosody(audio, fps, options.prosody)
    if options.accents is not None:
        prosody = edit(prosody, options.accents)
    head = draw_head_motion(prosody, frames, fps, np.random.default_rng(options.seed))
    delayed_audio = delay_audio(audio, options.audio_offset)
    talking_face = predict_face(network, delayed_audio, reference, head, options.amplitude, picture)
    yield Progress("audio2pose", frames, frames)
    cover = covered_mouth.find_cover(picture, reference)
    warnings = [*detection.notes, *close_portraits.notes(reference), *cover.notes]
    warnings += _sound_warnings(audio, talking_face.points, options.amplitude)
    talking_face = put_under(cover, talking_face, reference)
    report = None
    people: tuple[Pose, ...] = ()
    if driving is None:
        rng = np.random.default_rng((options.seed, BEATS_STREAM))
        pose = beats.pose_free(reference, talking_face.points, head, prosody, rng, options.gestures)
        warnings += retarget.small_face_notes(retarget.nominal_face_height(pose))
    else:
        tracked = yield from driving.people(fps, frames, options.detector)
        rest = talking_head(reference, talking_face.points, head, fps)
        pose, report = align(tracked, reference, talking_face.points, rest, options)
        warnings += _driving_warnings(driving, tracked, report)
        people = tracked.people
    motion = Motion(
        pose,
        reference,
        mask=detection.masks[0] if detection.masks else None,
        mesh=talking_face.mesh_at(pose.face),
        intensity=prosody.intensity,
        excitation=prosody.excitation,
        control_strength=np.ones(frames),
        audio_tokens=talking_face.tokens,
    )
    unique_warnings = tuple(dict.fromkeys(warnings))
    return Analysis(motion, prosody, report, unique_warnings, people)


def put_under(
    cover: covered_mouth.Cover, talking_face: TalkingFace, reference: Pose
) -> TalkingFace:
    """Return the talking face with its mouth under cloth, where the reference's is."""
    if not cover.is_cloth:
        return talking_face
    points = covered_mouth.under_cloth(talking_face.points, reference)
    mesh = talking_face.mesh
    if mesh is not None and talking_face.rest_mesh is not None:
        mesh = mesh_under_cloth(mesh, talking_face.rest_mesh, reference.size)
    return replace(talking_face, points=points, mesh=mesh)


def align(
    tracked: Detection, reference: Pose, face: Keypoints, rest: Pose, options: AnalysisOptions
) -> tuple[Pose, retarget.Report | None]:
    """Put the driving body on the reference's, as long as `face` (T,68), and splice the face in.

    Return the pose and the alignment report; no report where nobody drives. Where the driver or the
    driving face is missing the pose eases to `rest` (T frames), the reference that talks by itself.
    """
    frames = len(face)
    if not tracked.people:
        return rest, None
    believed = [without_false_faces(person) for person in tracked.people]
    people = [timing.fill_gaps(person) for person in believed]
    aligned, report = retarget.retarget(people, reference, *options.alignment)
    fitted = timing.fit_length(aligned, frames, options.length)
    spliced = fda.splice(fitted, face, options.splice, options.box)
    return absence.ease(spliced, rest, report.zoom), report


def delay_audio(audio: Audio, milliseconds: float) -> Audio:
    """Delay the sound, or advance it where `milliseconds` is negative.

    It stays as long as before.
    """
    if not (np.isfinite(milliseconds) and abs(milliseconds) <= MAX_OFFSET_MS):
        raise InputError(
            f"audio offset is {milliseconds:g} ms; give -{MAX_OFFSET_MS:g} to {MAX_OFFSET_MS:g}"
        )
    offset = round(abs(milliseconds) / 1000 * audio.rate)
    count = min(len(audio.samples), offset)
    if count == 0:
        return audio
    silence = np.zeros(count, audio.samples.dtype)
    if milliseconds > 0:
        later = np.concatenate([silence, audio.samples[:-count]])
        return replace(audio, samples=later)
    earlier = np.concatenate([audio.samples[count:], silence])
    return replace(audio, samples=earlier)


def _driving_warnings(
    driving: Driving, tracked: Detection, report: retarget.Report | None
) -> list[str]:
    """Return what a user must know about the clip that drives, and how it was aligned."""
    warnings: list[str] = []
    # The report already contains a detector's notes, but not the notes on a pose file.
    if report is None or isinstance(driving, DrivingPose):
        warnings += tracked.notes
    if isinstance(driving, DrivingVideo):
        warnings += driving.notes
    if report is not None:
        warnings += report.warnings
    return warnings


def _sound_warnings(audio: Audio, face: Keypoints, amplitude: float) -> list[str]:
    """Say that the speech is silent, or that no speech is heard in it, where it is so.

    Args:
        audio: the speech.
        face: (T,68) the face that the network predicted.
        amplitude: factor on the mouth's movement.
    """
    power = np.mean(np.square(audio.samples, dtype=np.float64))
    if float(np.sqrt(power)) < SILENT_RMS:
        return [
            "the speech is silent (below -60 dBFS): the mouth stays shut and the slider acts on "
            "nothing"
        ]
    if amplitude > 0 and _mouth_range(face) < STILL_MOUTH:
        return ["no voice is heard in the sound (music, applause or noise?): the mouth stays shut"]
    return []


def _mouth_range(face: Keypoints) -> float:
    """Return how far the inner lips (T,68) open and shut, in face heights."""
    gap = face.xy[:, INNER_LIP_TOP, 1] - face.xy[:, INNER_LIP_BOTTOM, 1]
    height = face.xy[:, NOSE_ROOT, 1] - face.xy[:, CHIN, 1]
    opening = gap / np.minimum(height, -TINY)
    low, high = np.percentile(opening, (2, 98))
    return float(high - low)
