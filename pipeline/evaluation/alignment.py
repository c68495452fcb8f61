"""How well bodies land on other bodies: references of known lengths, for every way to retarget.

`python -m pipeline.evaluation.alignment [--pose POSE] [--json] [--picture PNG]`: the driver is a planted tall
dancer, or the largest person of a pose file; the references are a child, a half body and three adults.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.media import pose_files
from pipeline.motion import retarget, timing
from pipeline.motion.keypoints import ANKLES
from pipeline.motion.retarget import proportions
from pipeline.values import BODY, FACE, HANDS, Keypoints, Pose

DEGREES = np.pi / 180
ADULT = {
    "torso": 0.288, "shoulders": 0.21, "hips": 0.12, "upper arms": 0.186, "forearms": 0.146,
    "thighs": 0.245, "shins": 0.246, "neck": 0.10, "face": 0.066, "hand": 0.1,
}  # fmt: skip
# a small child against an adult, rough, for this planted figure only: longer trunk, shorter limbs
CHILD = ADULT | {
    "torso": 0.30, "shoulders": 0.22, "upper arms": 0.175, "forearms": 0.135, "thighs": 0.21, "shins": 0.215,
    "neck": 0.13, "face": 0.09, "hand": 0.1,
}  # fmt: skip
LONG_LEGS = ADULT | {
    "torso": 0.27,
    "thighs": 0.26,
    "shins": 0.28,
    "upper arms": 0.2,
    "forearms": 0.16,
}
OUTWARD = 0.4  # share of a knee's bend that is seen from the front
SIDES = (
    (-1, 2, 3, 4, 8, 9, 10),
    (1, 5, 6, 7, 11, 12, 13),
)  # the person's right is on the picture's left
# mean relative bone error and ground error in statures; a real clip has turned bones, noise and lifted feet
LEVELS = {"bones": 0.03, "ground": 0.002}
REAL_LEVELS = {"bones": 0.05, "ground": 0.01}
MEASURED = ("torso", "shoulders", "upper arms", "forearms", "thighs", "shins", "face")


@dataclass(frozen=True)
class Person:
    """A planted skeleton: lengths as shares of stature, stature in pixels, foot point (x, y) in pixels."""

    lengths: dict[str, float]
    stature: float
    foot: tuple[float, float]
    size: tuple[int, int]

    def full(self, name: str) -> float:
        """The bone's true length in pixels."""
        return self.lengths[name] * self.stature


@dataclass(frozen=True)
class Dance:
    """Angles over time (T,) in degrees from straight down: arms out, elbows, knees; sway in statures."""

    arms: np.ndarray  # (T, 2) right, left: 0 hangs, 90 sideways, 180 up
    elbows: np.ndarray  # (T, 2)
    knees: np.ndarray  # (T,) both knees bend outwards by this much and the hips come down
    sway: np.ndarray  # (T,) of the hips sideways, in statures; the feet stay
    reach: (
        np.ndarray
    )  # (T, 2) cosine of the arms' turn towards the camera: 1 = in the picture's plane


def dancing(frames: int, rng: np.random.Generator) -> Dance:
    """A dance with arms up and out, knee bends and sway, both feet planted."""
    t = np.arange(frames)[:, None] / 25
    phase, speed = rng.uniform(0, 6, (6, 2)), rng.uniform(2, 5, (6, 2))
    wave = np.sin(t[None] * speed[:, None] + phase[:, None])  # (6, T, 2)
    knees = 22 * (1 - np.cos(3 * t[:, 0])) / 2
    reach = 0.75 + 0.25 * wave[4]
    return Dance(75 + 60 * wave[0], 40 + 40 * wave[1], knees, 0.05 * np.sin(2 * t[:, 0]), reach)


def standing(reach: float = 1.0) -> Dance:
    """One frame with hanging arms, turned towards the camera by the cosine `reach`."""
    one = np.ones((1, 2))
    return Dance(12 * one, 8 * one, np.zeros(1), np.zeros(1), reach * one)


def skeleton(person: Person, dance: Dance) -> Pose:
    """The person in the dance as a pose; feet planted, one hip-width apart, on the foot point."""
    frames, whole = len(dance.knees), person.full
    body = np.zeros((frames, BODY, 2))
    bend = dance.knees * DEGREES
    hips = np.zeros((frames, 2))
    hips[:, 0] = person.foot[0] + dance.sway * person.stature
    for sign, *_, hip, _, ankle in SIDES:
        body[:, ankle] = person.foot + np.array([sign * whole("hips") / 2, 0.0])
        body[:, hip, 0] = hips[:, 0] + sign * whole("hips") / 2
    thigh, shin = whole("thighs"), whole("shins")
    across = dance.sway * person.stature
    straight = thigh * np.cos(bend) + shin * np.cos(
        bend
    )  # knees come forward: both bones foreshorten
    drop = np.sqrt(np.maximum(straight**2 - across**2, 1.0))
    hips[:, 1] = person.foot[1] - drop
    share = thigh / (thigh + shin)
    aside = OUTWARD * thigh * np.sin(bend)  # the rest of the bend comes towards the camera
    for sign, *_, hip, knee, ankle in SIDES:
        body[:, hip, 1] = hips[:, 1]
        body[:, knee] = body[:, hip] + share * (body[:, ankle] - body[:, hip])
        body[:, knee, 0] += sign * aside
    neck = hips - np.array([0, whole("torso")])
    body[:, 1] = neck
    hands = np.zeros((frames, HANDS, 2))
    for index, (sign, shoulder, elbow, wrist, *_) in enumerate(SIDES):
        body[:, shoulder] = neck + np.array([sign * whole("shoulders") / 2, 0])
        turn = dance.arms[:, index] * DEGREES
        bent = turn + dance.elbows[:, index] * DEGREES
        for angle, start, stop, bone in (
            (turn, shoulder, elbow, "upper arms"),
            (bent, elbow, wrist, "forearms"),
        ):
            way = np.stack([sign * np.sin(angle), np.cos(angle)], 1) * dance.reach[:, index, None]
            body[:, stop] = body[:, start] + whole(bone) * way
        way = body[:, wrist] - body[:, elbow]
        palm = np.linspace(0, whole("hand") / whole("forearms"), 21)[None, :, None] * way[:, None]
        rows = slice(21, 42) if index == 0 else slice(0, 21)  # hands are left, then right
        hands[:, rows] = body[:, wrist, None] + palm
    face = _face(person, neck)
    body[:, 0] = face[:, 30]
    body[:, [14, 15]] = face[:, [36, 45]]
    body[:, [16, 17]] = face[:, [0, 16]]
    pixels = np.array([person.size[1], person.size[0]], float)
    parts = [Keypoints(p / pixels, np.ones(p.shape[:2])) for p in (body, hands, face)]
    return Pose(*parts, 25, person.size)


def _face(person: Person, neck: np.ndarray) -> np.ndarray:
    """(T,68,2) a plain face looking ahead; the root of the nose is `neck` statures over the neck."""
    unit = person.full("face")  # root of the nose to chin
    root = neck[:, None] - np.array([0, person.full("neck")])
    points = np.zeros((FACE, 2))
    jaw = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([0.62 * np.cos(jaw), np.sin(jaw)], 1)
    points[17:27] = np.stack([np.linspace(-0.5, 0.5, 10), np.full(10, -0.2)], 1)
    points[27:31] = np.stack([np.zeros(4), np.linspace(0, 0.4, 4)], 1)
    points[31:36] = np.stack([np.linspace(-0.12, 0.12, 5), np.full(5, 0.46)], 1)
    around = np.linspace(np.pi, -np.pi, 7)[:6]
    for start, middle in ((36, -0.28), (42, 0.28)):
        points[start : start + 6] = np.stack(
            [middle + 0.12 * np.cos(around), 0.05 * np.sin(around)], 1
        )
    lips = np.linspace(np.pi, -np.pi, 13)[:12]
    points[48:60] = np.stack([0.22 * np.cos(lips), 0.68 - 0.07 * np.sin(lips)], 1)
    points[60:68] = np.stack([0.15 * np.cos(lips[:8]), 0.68 - 0.02 * np.sin(lips[:8])], 1)
    return root + unit * points


def cut(pose: Pose, joints: Sequence[int], hands: bool = True) -> Pose:
    """The pose without some joints, as where the picture ends above them."""
    score = pose.body.score.copy()
    score[:, list(joints)] = 0
    palms = pose.hands if hands else Keypoints(pose.hands.xy, np.zeros_like(pose.hands.score))
    return replace(pose, body=Keypoints(pose.body.xy, score), hands=palms)


@dataclass(frozen=True)
class Case:
    """One pair: the driver, the reference's person and pose, and whether it shows feet."""

    name: str
    driving: Pose
    person: Person
    reference: Pose
    feet: bool


def cases(rng: np.random.Generator, frames: int = 100, driver: Pose | None = None) -> list[Case]:
    """The driver, by default a planted tall dancer, onto a child, a half body, an adult, one with short legs
    and one with arms at the camera."""
    size, frame = (768, 512), (1280, 720)
    tall = driver or skeleton(Person(LONG_LEGS, 1000, (380, 1180), frame), dancing(frames, rng))
    child = Person(CHILD, 420, (256, 700), size)
    half = Person(ADULT, 1050, (256, 1200), size)
    adult = Person(ADULT, 560, (256, 720), size)
    chunky = Person(
        ADULT | {"shoulders": 0.25, "thighs": 0.22, "shins": 0.22}, 560, (256, 720), size
    )
    longer = ADULT | {"upper arms": 0.20, "forearms": 0.155}
    strong = Person(longer, 560, (256, 720), size)
    still = standing()
    return [
        Case("child", tall, child, skeleton(child, still), True),
        Case("half body", tall, half, cut(skeleton(half, still), (9, 10, 12, 13)), False),
        Case("adult", tall, adult, skeleton(adult, still), True),
        Case("short legs", tall, chunky, skeleton(chunky, still), True),
        Case("arms at the camera", tall, strong, skeleton(strong, standing(0.45)), True),
    ]


def measure(case: Case, method: str) -> dict[str, float]:
    """bones, worst: mean and largest relative error of full bone lengths against the reference person's.

    ground, slide: the lower foot's mean distance from the ground line and the feet's largest way, in
    statures; for a driver who walks the way is theirs.
    """
    out, report = retarget.retarget([case.driving], case.reference, method)
    pixels = np.array([out.size[1], out.size[0]], float)
    found = proportions.spans(out, out.body.visible)
    shown = proportions.lengths(case.reference)
    errors = [abs(found[name] / case.person.full(name) - 1) for name in MEASURED if name in shown]
    row = {
        "bones": float(np.mean(errors)),
        "worst": float(np.max(errors)),
        "outside": report.outside,
    }
    if case.feet:
        ankles = out.body.xy[:, ANKLES] * pixels
        ground = np.abs(ankles[..., 1].max(1) - case.person.foot[1])
        row["ground"] = float(ground.mean() / case.person.stature)
        row["slide"] = float(np.ptp(ankles, axis=0).max() / case.person.stature)
    return row


def rows(seed: int = 0, driver: Pose | None = None) -> list[dict[str, object]]:
    """One row for every case and method."""
    made = cases(np.random.default_rng(seed), driver=driver)
    return [
        {"case": case.name, "method": method, **measure(case, method)}
        for case in made
        for method in retarget.METHODS
    ]


def judged(found: Sequence[dict[str, object]], levels: dict[str, float]) -> dict[str, object]:
    """The rows with name, value, level and pass as `evaluate` prints them; only our own way has levels.

    A case also passes only if it is nearer the reference's bones and ground than the published line.
    """
    lines = []
    for row in found:
        for name in (n for n in ("bones", "ground", "outside") if n in row):
            level = levels.get(name) if row["method"] == "bones" else None
            value, passed = float(row[name]), None if level is None else bool(row[name] <= level)
            lines.append({"name": f"{row['case']}, {row['method']}: {name}", "value": value,
                          "level": level, "pass": passed})  # fmt: skip
    by = {(row["case"], row["method"]): row for row in found}
    for case in dict.fromkeys(row["case"] for row in found):
        ours, line = by[case, "bones"], by[case, "published"]
        for name in (n for n in ("bones", "ground") if n in ours):
            gain = float(line[name] - ours[name])
            lines.append({"name": f"{case}: {name}, published less ours", "value": gain, "level": 0.0,
                          "pass": bool(gain >= 0)})  # fmt: skip
    return {"rows": lines, "pass": all(line["pass"] is not False for line in lines)}


def table(found: Sequence[dict[str, object]]) -> str:
    """The rows as markdown, errors in percent."""
    names = ("bones", "worst", "ground", "slide", "outside")
    lines = [
        "| reference | method | " + " | ".join(f"{name} %" for name in names) + " |",
        "|---" * 7 + "|",
    ]
    for row in found:
        cells = [f"{100 * row[name]:.1f}" if name in row else "-" for name in names]
        lines.append(f"| {row['case']} | {row['method']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def sheet(
    pairs: Sequence[tuple[str, Pose, Pose]], size: tuple[int, int] = (384, 256)
) -> np.ndarray:
    """(H,W,3) uint8 contact sheet: per pair the reference and four frames by every method."""
    import cv2

    from pipeline.motion import skeleton as drawing

    strips = []
    for name, driving, reference in pairs:
        side = round(reference.size[1] / reference.size[0] * size[0] / 2) * 2
        for method in retarget.METHODS:
            out, _ = retarget.retarget([driving], reference, method)
            ids = np.linspace(0, len(out) - 1, 4).astype(int)
            own = drawing.draw(reference[:1], (size[0], side), "preview")
            strip = np.hstack([*own, *drawing.draw(out[ids], (size[0], side), "preview")])
            cv2.putText(
                strip,
                f"{name}: {method}",
                (6, 18),
                cv2.FONT_HERSHEY_SIMPLEX,
                0.5,
                (255, 255, 255),
                1,
            )
            strips.append(strip)
    wide = max(strip.shape[1] for strip in strips)
    return np.vstack(
        [np.pad(strip, ((0, 4), (0, wide - strip.shape[1]), (0, 0))) for strip in strips]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints bone and ground errors of all ways to retarget over planted skeletons."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--pose", type=Path, help="pose file of a real driver instead of the planted one"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of the table"
    )
    parser.add_argument("--picture", type=Path, help="also write a contact sheet (PNG)")
    options = parser.parse_args(arguments)
    driver = (
        None if options.pose is None else timing.fill_gaps(pose_files.read(options.pose).people[0])
    )
    found = rows(options.seed, driver)
    report = judged(found, LEVELS if driver is None else REAL_LEVELS)
    if options.json:
        print(json.dumps(report | {"table": found}))
    else:
        failed = [line["name"] for line in report["rows"] if line["pass"] is False]
        print(f"{table(found)}\n\n{'pass' if report['pass'] else 'FAIL: ' + '; '.join(failed)}")
    if options.picture:
        import cv2

        made = cases(np.random.default_rng(options.seed), driver=driver)
        picture = sheet([(case.name, case.driving, case.reference) for case in made])
        cv2.imwrite(str(options.picture), picture[..., ::-1])


if __name__ == "__main__":
    main()
