"""`python -m pipeline evaluate alignment`: how well bodies land on other bodies.

The driver is a planted tall dancer, or the largest person of a pose file. The references, of known
lengths, are a child, a half body and three adults. Every way to retarget is measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pipeline.evaluation import command
from pipeline.evaluation.alignment.planted import (
    ADULT,
    CHILD,
    LONG_LEGS,
    Person,
    dancing,
    pose_of,
    standing,
    without_joints,
)
from pipeline.evaluation.report import DEFINITIONS, Report, Row
from pipeline.media import pose_files
from pipeline.motion import retarget, timing
from pipeline.motion.keypoints import ANKLES, KNEES
from pipeline.motion.retarget import proportions
from pipeline.values import InputError, Pose

BONES = ("torso", "shoulders", "upper arms", "forearms", "thighs", "shins", "face")
FIGURES = ("bones", "worst", "ground", "slide", "outside")
SHEET_SIZE = (384, 256)  # of each picture of the contact sheet
SHEET_FRAMES = 4


@dataclass(frozen=True)
class Levels:
    """What is required of our own way to retarget.

    Args:
        bones: Largest mean relative bone error.
        ground: Largest distance from the ground in statures.
    """

    bones: float
    ground: float


PLANTED_LEVELS = Levels(bones=0.03, ground=0.002)
REAL_LEVELS = Levels(bones=0.05, ground=0.01)  # a real clip has turned bones, noise, lifted feet


@dataclass(frozen=True)
class Case:
    """One pair: the driver, the reference's person and pose, and whether it shows feet."""

    name: str
    driving: Pose
    person: Person
    reference: Pose
    feet: bool


@dataclass(frozen=True)
class Alignment:
    """How one driver landed on one reference.

    Args:
        case: Name of the reference.
        method: The way to retarget.
        bones: Mean relative error of the full bone lengths against the reference person's.
        worst: The largest such error.
        outside: Share of the points outside the frame.
        ground: Mean distance of the lower foot from the ground line in statures, None without feet.
        slide: The feet's largest way in statures; for a driver who walks, the way is theirs.
    """

    case: str
    method: str
    bones: float
    worst: float
    outside: float
    ground: float | None = None
    slide: float | None = None


def make_cases(
    rng: np.random.Generator, frames: int = 100, driver: Pose | None = None
) -> list[Case]:
    """Pair the driver, by default a planted tall dancer, with five references."""
    size = (768, 512)
    if driver is None:
        tall = Person(LONG_LEGS, 1000, (380, 1180), (1280, 720))
        driver = pose_of(tall, dancing(frames, rng))
    broad_lengths = ADULT | {"shoulders": 0.25, "thighs": 0.22, "shins": 0.22}
    long_armed = ADULT | {"upper arms": 0.20, "forearms": 0.155}
    child = Person(CHILD, 420, (256, 700), size)
    half = Person(ADULT, 1050, (256, 1200), size)
    adult = Person(ADULT, 560, (256, 720), size)
    broad = Person(broad_lengths, 560, (256, 720), size)
    strong = Person(long_armed, 560, (256, 720), size)
    still = standing()
    half_pose = without_joints(pose_of(half, still), (*KNEES, *ANKLES))
    strong_pose = pose_of(strong, standing(0.45))
    return [
        Case("child", driver, child, pose_of(child, still), True),
        Case("half body", driver, half, half_pose, False),
        Case("adult", driver, adult, pose_of(adult, still), True),
        Case("short legs", driver, broad, pose_of(broad, still), True),
        Case("arms at the camera", driver, strong, strong_pose, True),
    ]


def measure(case: Case, method: str) -> Alignment:
    """Retarget one driver and measure bones, ground and points outside.

    Raises InputError for a driver that lacks bones which the reference shows.
    """
    pose, report = retarget.retarget([case.driving], case.reference, method)
    lengths = proportions.spans(pose, pose.body.visible)
    shown = proportions.lengths(case.reference)
    names = [name for name in BONES if name in shown]
    missing = [name for name in names if name not in lengths]
    if missing:
        raise InputError(
            f"the driver never shows {', '.join(missing)}, so they cannot be compared; "
            "give a pose file of a whole body"
        )
    errors = [abs(lengths[name] / case.person.full(name) - 1) for name in names]
    ground = None
    slide = None
    if case.feet:
        height, width = pose.size
        ankles = pose.body.xy[:, ANKLES] * np.array([width, height], float)
        distances = np.abs(ankles[..., 1].max(1) - case.person.foot[1])
        ground = float(distances.mean() / case.person.stature)
        slide = float(np.ptp(ankles, axis=0).max() / case.person.stature)
    bones = float(np.mean(errors))
    worst = float(np.max(errors))
    return Alignment(case.name, method, bones, worst, report.outside, ground, slide)


def measure_all(seed: int = 0, driver: Pose | None = None) -> list[Alignment]:
    """Measure every case with every method."""
    cases = make_cases(np.random.default_rng(seed), driver=driver)
    return [measure(case, method) for case in cases for method in retarget.METHODS]


def make_report(found: Sequence[Alignment], levels: Levels) -> Report:
    """Return the report; only our own way has levels.

    Each case must also be nearer to the reference's bones and ground than the published line.
    """
    rows = []
    for one in found:
        ours = one.method == "bones"
        title = f"{one.case}, {one.method}"
        rows.append(Row(f"{title}: bones", one.bones, levels.bones if ours else None))
        if one.ground is not None:
            rows.append(Row(f"{title}: ground", one.ground, levels.ground if ours else None))
        rows.append(Row(f"{title}: outside", float(one.outside)))
    by_name = {(one.case, one.method): one for one in found}
    for case in dict.fromkeys(one.case for one in found):
        rows += _gain_rows(case, by_name[case, "bones"], by_name[case, "published"])
    facts = {"table": [_without_none(one) for one in found]}
    return Report(rows, DEFINITIONS["alignment"], facts)


def _gain_rows(case: str, ours: Alignment, published: Alignment) -> list[Row]:
    """Return by how much our own way is nearer than the published line."""
    gain = published.bones - ours.bones
    rows = [Row(f"{case}: bones, published less ours", gain, 0.0, ">=")]
    if ours.ground is not None and published.ground is not None:
        gain = published.ground - ours.ground
        rows.append(Row(f"{case}: ground, published less ours", gain, 0.0, ">="))
    return rows


def _without_none(one: Alignment) -> dict[str, object]:
    """Return the fields that were measured."""
    return {name: value for name, value in asdict(one).items() if value is not None}


def markdown(found: Sequence[Alignment]) -> str:
    """Return the figures as a markdown table, errors in percent."""
    head = " | ".join(f"{name} %" for name in FIGURES)
    lines = [f"| reference | method | {head} |", "|---" * (2 + len(FIGURES)) + "|"]
    for one in found:
        cells = []
        for name in FIGURES:
            value = getattr(one, name)
            cells.append("-" if value is None else f"{100 * value:.1f}")
        lines.append(f"| {one.case} | {one.method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def contact_sheet(cases: Sequence[Case]) -> np.ndarray:
    """Draw per case and method the reference and four frames, (H, W, 3) uint8."""
    strips = [_strip(case, method) for case in cases for method in retarget.METHODS]
    widest = max(strip.shape[1] for strip in strips)
    padded = []
    for strip in strips:
        margins = ((0, 4), (0, widest - strip.shape[1]), (0, 0))
        padded.append(np.pad(strip, margins))
    return np.vstack(padded)


def _strip(case: Case, method: str) -> np.ndarray:
    """Draw the reference and four frames by one method, side by side."""
    import cv2

    from pipeline.motion import skeleton

    reference = case.reference
    pose, _ = retarget.retarget([case.driving], reference, method)
    height = SHEET_SIZE[0]
    width = round(reference.size[1] / reference.size[0] * height / 2) * 2
    numbers = np.linspace(0, len(pose) - 1, SHEET_FRAMES).astype(int)
    still = skeleton.draw(reference[:1], (height, width), "preview")
    moving = skeleton.draw(pose[numbers], (height, width), "preview")
    strip = np.hstack([*still, *moving])
    title = f"{case.name}: {method}"
    white = (255, 255, 255)
    cv2.putText(strip, title, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, white, 1)
    return strip


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command's arguments."""
    parser = command.parser("alignment", __doc__.split("`: ", 1)[1])
    parser.add_argument(
        "--pose", type=Path, help="pose file of a real driver instead of the planted one"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the planted dance")
    parser.add_argument("--picture", type=Path, help="also write a contact sheet (PNG)")
    return parser.parse_args(list(argv))


def main(argv: Sequence[str]) -> int:
    """Print bone and ground errors of all ways to retarget; return 0 when every level is met."""
    args = parse(argv)
    driver = None
    levels = PLANTED_LEVELS
    if args.pose is not None:
        driver = timing.fill_gaps(pose_files.read(args.pose).people[0])
        levels = REAL_LEVELS
    found = measure_all(args.seed, driver)
    if args.picture:
        import cv2

        cases = make_cases(np.random.default_rng(args.seed), driver=driver)
        cv2.imwrite(str(args.picture), contact_sheet(cases)[..., ::-1])
    return command.show(make_report(found, levels), markdown(found), args.json)
