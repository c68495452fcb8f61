"""`python -m pipeline evaluate mini`: what the embedded model does with people, voices and texts unseen.

Drawn held-out presenters have a true next frame, so every figure has a truth (metrics 5). Beside the result
stand the warp alone, four trivial baselines, and a previous release where one is given.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline import ROOT
from pipeline.analysis.talking_face import TalkingFace
from pipeline.evaluation.bench import hardware
from pipeline.evaluation.metrics import bootstrap, gestures, mouth
from pipeline.evaluation.mini import cases as held
from pipeline.evaluation.mini import lip_table, resolution, slider
from pipeline.evaluation.mini.cases import Case
from pipeline.evaluation.mini.table import HEARD, Figures, table_rows
from pipeline.evaluation.motion import Pair, pooled_z, pose_free
from pipeline.evaluation.report import Row
from pipeline.models import mouth_reader, sync_mini
from pipeline.motion import prosody
from pipeline.motion.gestures import arm_ik
from pipeline.motion.keypoints import SHOULDERS
from pipeline.render import load
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.training.data import clips, held_out, talks
from pipeline.training.losses import boxes, psnr
from pipeline.values import Audio, InputError

log = logging.getLogger(__name__)

DEFINITION = 3  # raise it when a row's meaning changes
SHIPPED = ROOT / "checkpoints" / "mini"
STEPS = 4
EVERY, SPOKEN = 8, 2.6  # frames, seconds: of the picture rows' talks every eighth frame is made
LEAST_FACE = (
    15.0  # pixels from points 27 to 8: a smaller face's mouth opens by a pixel that none can read
)
MIN_SOUND = 3.0  # seconds: shorter speech has no shift a second away from itself


class Scale(NamedTuple):
    """How much is measured."""

    talks: int  # of held-out people
    seconds: float  # of each of these talks
    speeches: int  # on each of which the prior moves every reference, for its z
    inexact: int  # people of the picture rows with inexact points
    whole: (
        int  # talks that are drawn large, and as many clips on which the slider is read in frames
    )


PLAIN = Scale(talks=6, seconds=2.6, speeches=16, inexact=24, whole=2)
QUICK = Scale(talks=3, seconds=1.6, speeches=6, inexact=8, whole=0)


class Measure:
    """The model, its networks and the reader, which turn a talk into figures."""

    def __init__(self, folder: Path, previous: Path | None, device: str) -> None:
        self.pipe = opened(folder, device)
        self.previous = None if previous is None else opened(previous, device)
        self.mini = held.networks(folder, self.pipe.condition.device)
        self.reader = mouth_reader.shipped()
        self.sync = sync_mini.shipped()
        self.why = ""  # there is no pose-free network
        try:
            self.pipe.conditioned({"pose_guidance": 0.0})
        except ValueError as error:
            self.why = str(error)

    def figures(self, given: Case, other: Case) -> tuple[Figures, np.ndarray]:
        """All figures of one talk, and its rows of the contact sheet; `other` lends its speech."""
        found = Figures(given.talk.phones)
        if tall(given) >= LEAST_FACE:
            found.gaps["true"] = given.talk.aperture
            self._read(found, "truth", given.truth, given.talk.face)
        found.flicker["truth"] = mouth.flicker(given.truth, given.still)
        shown = self._follow(given, found)
        said = held.said(given, self.pipe)
        self._speak(given, said, found)
        if found.gaps and self.mini.interaction is not None:
            self._withheld(given, other, found)
        self._free(given, said, found)
        found.sync.update(lip_table.judged(found, self.sync, given.audio))
        return found, strip(given, shown)

    def _read(self, found: Figures, name: str, frames: Tensor, face: Tensor) -> None:
        """Reads mouths at the points that drove the frames: a spoken face has the reference's proportions."""
        if found.gaps:
            found.gaps[name] = self.reader.read(frames, face).numpy()

    def pictures(self, given: Case) -> Figures:
        """The picture rows of one talk, with four steps beside one."""
        found = Figures(given.talk.phones)
        shown = self._shown(given) | {"four": held.rendered(self.pipe, given, given.motion, STEPS)}
        for name, frames in shown.items():
            compare(found, name, frames, given)
        return found

    def _follow(self, given: Case, found: Figures) -> dict[str, Tensor]:
        """Frames that true key points drive, compared with the truth pixel by pixel."""
        shown = self._shown(given) | {"frozen": held.warped(given, held.frozen(given))}
        for name, frames in shown.items():
            compare(found, name, frames, given)
            if name != "copy":
                self._read(found, name, frames, given.talk.face)
        return shown

    def _shown(self, given: Case) -> dict[str, Tensor]:
        shown = {
            "copy": torch.from_numpy(given.image).permute(2, 0, 1)[None].float() / 255,
            "warp": held.warped(given, given.motion),
            "result": held.rendered(self.pipe, given, given.motion),
        }
        shown["copy"] = shown["copy"].expand_as(given.truth)
        if self.previous is not None:
            shown["previous"] = held.rendered(self.previous, given, given.motion)
        return shown

    def _speak(self, given: Case, said: TalkingFace, found: Figures) -> None:
        """Mouths of Audio2Pose's lips, and of the baselines that are drawn by the warp."""
        motion = held.on_body(given, said)
        if found.gaps:
            face = held.points_of(motion.pose)
            self._read(found, "spoken", held.rendered(self.pipe, given, motion), face)
            self._read(found, "spoken warp", held.warped(given, motion), face)
        mixed = held.on_body(given, held.said(given, self.pipe, held.shuffled(given)))
        for name, motion in (("loud", held.loud(given, self.pipe)), ("shuffled", mixed)):
            frames = held.warped(given, motion)
            compare(found, name, frames, given)
            self._read(found, name, frames, held.points_of(motion.pose))

    def _withheld(self, given: Case, other: Case, found: Figures) -> None:
        """Mouths that only the sound can move: the right speech, another talk's, and no interaction."""
        face, hidden = given.talk.face[::HEARD], given.hidden
        silent = replace(self.mini, interaction=None)
        strange = torch.from_numpy(
            np.resize(other.motion.audio_tokens, given.motion.audio_tokens.shape)
        )
        for name, mini, talk, audio in (
            ("withheld right", self.mini, hidden, None),
            ("withheld other", self.mini, hidden, strange),
            ("withheld off", silent, hidden, None),
            ("lips on", self.mini, given.talk, None),
            ("lips off", silent, given.talk, None),
        ):
            self._read(found, name, held.denoised(mini, talk, audio, HEARD), face)

    def _free(self, given: Case, said: TalkingFace, found: Figures) -> None:
        """Pose-free frames; pixels are averaged over 4 x 4, so that grain does not count as movement."""
        motion = held.by_prior(given, said)
        free = {"prior": (motion, {})}
        if not self.why:
            free["network"] = (motion, {"pose_guidance": 0.0})
        for name, (driven, values) in free.items():
            frames = held.rendered(self.pipe, given, driven, conditioning=values)
            pose = (
                driven.pose
                if name == "prior"
                else given.motion.reference[np.zeros(len(given), int)]
            )
            self._read(found, name, frames, held.points_of(pose))
            energy = mouth.motion_energy(F.avg_pool2d(frames, 4))
            found.swing[f"pixels {name}"] = float(energy.mean())
            found.follows[name] = mouth.correlation(np.sqrt(energy), given.motion.intensity[1:])
        truth = mouth.motion_energy(F.avg_pool2d(given.truth, 4))
        found.swing["pixels truth"] = float(truth.mean())
        if arm_ik.find(given.motion.reference) and shouldered(given):
            for name, pose in (("prior", motion.pose), ("truth", given.motion.pose)):
                found.swing[f"points {name}"] = float(np.square(gestures.speed(pose)).mean())


def opened(folder: Path, device: str) -> AudioPoseSVDPipeline:
    """The pipeline of a model folder."""
    if not (folder / "model_index.json").is_file():
        raise InputError(f"{folder} holds no model; name a folder such as checkpoints/mini")
    return load.load(str(folder), device=device)


def tall(given: Case) -> float:
    """Pixels from points 27 to 8 of the true face, mean over the frames."""
    face = given.talk.face[..., :2] * torch.tensor(given.size[::-1])
    return float((face[:, 8] - face[:, 27]).norm(dim=1).mean())


def shouldered(given: Case) -> bool:
    """Whether both shoulders are seen in some frame, of the truth and of the reference."""
    both = (given.motion.pose, given.motion.reference)
    return all(pose.body.visible[:, SHOULDERS].all(1).any() for pose in both)


def compare(found: Figures, name: str, frames: Tensor, given: Case) -> None:
    """Adds PSNR by place, sharpness and flicker of frames (F,3,H,W) of the case."""
    truth, clips = given.truth, given.talk.clips
    places = boxes(given.talk.face, clips.hands[0], clips.size)
    found.psnr[name] = {"whole": psnr(frames, truth)}
    found.psnr[name] |= {place: psnr(frames, truth, box) for place, box in places.items()}
    found.sharp[name] = mouth.sharpness(frames, places["face"]) / max(given.sharpness, 1e-9)
    found.flicker[name] = mouth.flicker(frames, given.still)


def strip(given: Case, shown: dict[str, Tensor]) -> np.ndarray:
    """(2H,4W,3) uint8: reference | warp | result | truth where the mouth is widest and in the last frame."""
    rows = []
    for frame in (int(given.talk.aperture.argmax()), len(given) - 1):
        parts = (
            shown["copy"][frame],
            shown["warp"][frame],
            shown["result"][frame],
            given.truth[frame],
        )
        rows.append(torch.cat(parts, 2))
    return (torch.cat(rows, 1).permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


def follows(cases: Sequence[Case], count: int) -> tuple[float, float]:
    """(pooled r, z) of the prior's wrist speed and the intensity: every reference with `count` speeches."""
    people = [
        c.motion.reference for c in cases if arm_ik.find(c.motion.reference) and shouldered(c)
    ]
    said = [t for t in talks.held_out().talks if t.seconds >= MIN_SOUND][:count]
    pairs = []
    for k, talk in enumerate(said):
        audio = Audio(talk.samples.astype(np.float32) / 32767, held.SAMPLE_RATE)
        full, rms = (prosody.analyse(audio, held.FPS, mode) for mode in ("full", "rms"))
        for person in people:
            motion = pose_free.speak(person, full, k).motion
            pairs.append(Pair(motion, rms.excitation, str(k), len(motion)))
    if not pairs:
        return math.nan, math.nan
    return pooled_z(pairs, [gestures.speed(pair.motion.pose) for pair in pairs])


def checksum(folder: Path) -> str:
    """SHA-256 over the names and bytes of all weights of a folder."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        total.update(str(path.relative_to(folder).as_posix()).encode() + path.read_bytes())
    return total.hexdigest()


def evaluate(
    folder: Path, previous: Path | None, scale: Scale, device: str
) -> tuple[dict, np.ndarray]:
    """The report and the contact sheet."""
    measured = Measure(folder, previous, device)
    count = scale.talks
    exact, hidden = (held_out.held_talks(count, scale.seconds, lips) for lips in (1.0, 0.0))
    cases = [held.case(talk, withheld) for talk, withheld in zip(exact, hidden, strict=True)]
    found, strips = [], []
    for number, given in enumerate(cases):
        log.info("talk %d of %d", number + 1, count)
        figures, part = measured.figures(given, cases[(number + 1) % count])
        found.append(figures)
        strips.append(part)
    inexact = held_out.held_talks(scale.inexact, SPOKEN, jitter=clips.JITTER, every=EVERY)
    seen = [measured.pictures(held.case(talk, talk)) for talk in inexact]

    def rows_of(
        found: Sequence[Figures], seen: Sequence[Figures], z: tuple[float, float]
    ) -> list[Row]:
        return [*table_rows(found, seen, z, measured.why), *lip_table.rows(found)]

    rows = rows_of(found, seen, follows(cases, scale.speeches))
    nowhere = (math.nan, math.nan)  # the prior's z has its own null
    likely = bootstrap.bootstrap((found, seen), lambda *kinds: rows_of(*kinds, nowhere))
    rows += [*resolution.rows(measured.pipe, scale.whole), *slider.rows(measured.pipe, scale.whole)]
    frames = sum(map(len, cases))
    commit, unknown = bootstrap.commit()
    report = {
        "rows": [r.to_dict() | {"interval": likely.get(r.name)} for r in rows],
        "pass": all(r.passed for r in rows if r.level is not None),
        "model": str(folder),
        "previous": None if previous is None else str(previous),
        "clips": count,
        "frames": frames,
        "inexact": {
            "clips": scale.inexact,
            "frames": scale.inexact * -(-int(SPOKEN * held_out.FPS) // EVERY),
        },
        "fps": held.FPS,
        "seconds": frames / held.FPS,
        "definition": DEFINITION,
        "intervals": bootstrap.MEANING,
        "commit": commit,
        **({"commit_why": unknown} if unknown else {}),
        "mouths_read": sum(bool(f.gaps) for f in found),
        "reader_parameters": sum(p.numel() for p in measured.reader.parameters()),
        "weights_sha256": checksum(folder),
        "sync_mini_sha256": checksum(sync_mini.FOLDER),
        "hardware": hardware(),
    }
    return report, np.concatenate(strips)


def text(report: dict) -> str:
    """The report as a table for people."""
    lines = [
        f"{report['model']}: {report['clips']} held-out talks, {report['frames']} frames, "
        f"mouths read in {report['mouths_read']}",
        "",
    ]
    for found in report["rows"]:
        value = "-" if found["value"] is None else f"{found['value']:.3f}"
        likely = "" if found["interval"] is None else "[{:.3f}, {:.3f}]".format(*found["interval"])
        level = "" if found["level"] is None else f"{found['rule']} {found['level']:g}"
        verdict = {True: "pass", False: "FAIL", None: found.get("why", "")}[found["pass"]]
        lines.append(f"{found['name']:66} {value:>8} {likely:18} {level:8} {verdict}".rstrip())
    lines += ["", f"[...]: {report['intervals']}"]
    return "\n".join([*lines, "", "pass" if report["pass"] else "FAIL"])


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command's options; ValueError for what makes no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline evaluate mini", description=__doc__.split("`: ", 1)[1]
    )
    add = parser.add_argument
    add("--model", type=Path, default=SHIPPED, help="folder of the model")
    add("--previous", type=Path, help="folder of an older release, measured side by side")
    add(
        "--quick",
        action="store_true",
        help="fewer and shorter talks: under 2 minutes on a quiet core",
    )
    add("--talks", type=int, help=f"held-out talks, {PLAIN.talks} by default")
    add("--talk-seconds", type=float, help=f"of each talk, {PLAIN.seconds:g} by default")
    add("--device", default="cpu", help="cpu, cuda or auto")
    add("--sheet", type=Path, help="PNG to write: reference, warp, result, truth")
    add("--json", action="store_true", help="print one JSON object last on stdout")
    args = parser.parse_args(list(argv))
    scale = QUICK if args.quick else PLAIN
    given = {"talks": args.talks, "seconds": args.talk_seconds}
    scale = scale._replace(**{name: value for name, value in given.items() if value is not None})
    if not 2 <= scale.talks <= talks.HELD:
        raise InputError(
            f"--talks {scale.talks} lies outside 2 to {talks.HELD}: a talk needs another's speech"
        )
    if not 1 <= scale.seconds <= 10:
        raise InputError(f"--talk-seconds {scale.seconds:g} lies outside 1 to 10")
    if args.sheet is not None and not args.sheet.resolve().parent.is_dir():
        raise InputError(
            f"--sheet {args.sheet} cannot be written: its folder does not exist; make it"
        )
    args.scale = scale
    return args


def main(argv: Sequence[str]) -> int:
    """Prints the report; 0 when every row with a level passes, else 1. ValueError for bad input."""
    args = arguments(argv)
    began, used = time.perf_counter(), time.process_time()
    report, sheet = evaluate(args.model, args.previous, args.scale, args.device)
    report["took_seconds"] = round(time.perf_counter() - began, 1)
    report["took_cpu_seconds"] = round(time.process_time() - used, 1)
    if args.sheet is not None:
        from PIL import Image

        Image.fromarray(sheet).save(args.sheet)
        report["sheet"] = str(args.sheet)
    print(json.dumps(report) if args.json else text(report))
    return 0 if report["pass"] else 1
