"""The rows of `evaluate mini` with their levels, from the figures of each held-out talk.

What could not be measured is null with the reason. METRICS.md says where the levels come from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipeline.evaluation.metrics.correlation import Correlation
from pipeline.evaluation.metrics.mouth import Closures, Products
from pipeline.evaluation.mini.figures import Figures, make_row, mean, median
from pipeline.evaluation.report import Row

PLACES = ("whole", "face", "mouth", "hands")
PICTURES = {
    "copy": "copy of the reference",
    "frozen": "warp, true pose with a frozen mouth",
    "loud": "warp, mouth driven by RMS",
    "shuffled": "warp, mouth of time-shuffled speech",
    "warp": "warp",
    "result": "result, 1 step",
    "four": "result, 4 steps",
    "previous": "result of the previous release",
}
BASELINES = ("frozen", "loud", "shuffled")  # mouths that any result must beat
LEAST_FLICKER = 0.1  # gray levels: a perfectly still truth allows no ratio
NO_SOUND = (
    "these weights have no interaction component, or no talk's mouth is large enough to be read"
)
NO_PREVIOUS = "no --previous folder was given"
# The mouths that are read: the row's words, the level of r, the level of J.
MOUTHS: tuple[tuple[str, str, float | None, float | None], ...] = (
    ("true", "true points themselves", None, None),
    ("truth", "reader on held-out truth", None, None),
    ("result", "result, true key points", 0.85, None),
    ("previous", "previous release, true key points", None, None),
    ("warp", "warp, true key points", None, None),
    ("spoken", "result, Audio2Pose's lips", 0.75, 0.60),
    ("spoken warp", "warp, Audio2Pose's lips", None, None),
    ("frozen", "warp, frozen mouth", None, None),
    ("loud", "warp, mouth driven by RMS", None, None),
    ("shuffled", "warp, time-shuffled speech", None, None),
)
# Gains in PSNR: the row's words, picture, picture compared with, place, level.
GAINS: tuple[tuple[str, str, str, str, float | None], ...] = (
    ("result less copy", "result", "copy", "face", 6.0),
    ("result less warp", "result", "warp", "face", 1.0),
    ("result less warp", "result", "warp", "hands", 0.5),
    ("result less warp", "result", "warp", "mouth", None),
    ("result less previous release", "result", "previous", "face", None),
    ("result less previous release", "result", "previous", "hands", None),
)
FOUR_STEPS_GAIN = ("4 steps less 1 step", "four", "result", "whole", -1.0)


def table_rows(
    exact: Sequence[Figures],
    inexact: Sequence[Figures],
    prior: Correlation,
    network_why: str,
) -> list[Row]:
    """Return all rows of the pictures, the mouths, the sound and the pose-free motion.

    Args:
        exact: Figures of the talks with exact points.
        inexact: Those of the picture rows' people, with points as inexact as a detector's.
        prior: The pooled r of the prior's wrist speed with the intensity, and its z.
        network_why: Why there are no rows of the pose-free network.
    """
    return [
        *picture_rows(inexact, "inexact points"),
        *without_levels(picture_rows(exact, "exact points")),
        *detail_rows(exact, inexact),
        *mouth_rows(exact),
        *sound_rows(exact),
        *free_rows(exact, prior, network_why),
    ]


def picture_rows(talks: Sequence[Figures], points: str) -> list[Row]:
    """Return the PSNR of all pictures that were made, and gains with levels.

    `points` says how exact the key points are.
    """
    names = [name for name in PICTURES if any(name in talk.psnr for talk in talks)]
    rows = []
    for name in names:
        for place in PLACES:
            title = f"PSNR {place}: {PICTURES[name]}, {points}"
            rows.append(make_row(title, mean_psnr(talks, name, place)))
    gains = (*GAINS, FOUR_STEPS_GAIN) if "four" in names else GAINS
    for words, picture, other, place, level in gains:
        gain = mean_psnr(talks, picture, place) - mean_psnr(talks, other, place)
        why = NO_PREVIOUS if other == "previous" else ""
        rows.append(make_row(f"PSNR {place}, {words}, {points}", gain, level, why=why))
    return rows


def without_levels(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with nothing required of them."""
    return [Row(row.name, row.value, None, row.rule, row.why) for row in rows]


def mean_psnr(talks: Sequence[Figures], picture: str, place: str) -> float:
    """Return the mean dB over the talks that have the picture."""
    return mean([talk.psnr[picture][place] for talk in talks if picture in talk.psnr])


def detail_rows(exact: Sequence[Figures], inexact: Sequence[Figures]) -> list[Row]:
    """Return sharpness of the face and flicker; steps are compared on inexact points."""

    def sharpness(name: str) -> float:
        return mean([talk.sharpness[name] for talk in inexact if name in talk.sharpness])

    def flicker(name: str) -> float:
        return mean([talk.flicker[name] for talk in exact if name in talk.flicker])

    def distance_to_truth(name: str) -> float:
        return abs(math.log(max(sharpness(name), 1e-6)))

    # The truth of grainy talks flickers more than any result: the median is that of a clean talk.
    ratios = [talk.flicker["result"] / max(talk.flicker["truth"], LEAST_FLICKER) for talk in exact]
    nearer = distance_to_truth("result") - distance_to_truth("four")
    ratio_name = "flicker of still pixels over the truth's: 1 step, median"
    return [
        make_row("sharpness of the face over the truth's: warp", sharpness("warp")),
        make_row("sharpness of the face over the truth's: 1 step", sharpness("result")),
        make_row("sharpness of the face over the truth's: 4 steps", sharpness("four")),
        make_row("sharpness, |ln ratio| of 1 step less that of 4 steps", nearer, 0.0),
        make_row("flicker of still pixels, grey levels: truth", flicker("truth")),
        make_row("flicker of still pixels, grey levels: warp", flicker("warp")),
        make_row("flicker of still pixels, grey levels: 1 step", flicker("result")),
        make_row(ratio_name, median(ratios), 1.2, "<="),
    ]


def mouth_r(talks: Sequence[Figures], name: str) -> float:
    """Return the mean over talks of the best r of one kind of mouths, NaN without any."""
    return mean([talk.r(name) for talk in talks if name in talk.openings])


def mouth_j(talks: Sequence[Figures], name: str) -> float:
    """Return J over all talks together: single ones hold few closures."""
    counts = [talk.closures(name) for talk in talks if name in talk.openings]
    return sum(counts, Closures()).j


def weak_r(talks: Sequence[Figures], name: str) -> float:
    """Return r at lag 0 over the frames of all talks, each talk's mean taken off.

    It is for weak signals: the best of eleven lags of nothing is above 0.
    """
    sums = [talk.products(name) for talk in talks if name in talk.openings]
    return sum(sums, Products()).r if sums else math.nan


def mouth_rows(talks: Sequence[Figures]) -> list[Row]:
    """Return the reader's error, then what it reads in rendered mouths."""
    errors = [talk.reader_error() for talk in talks if talk.openings]
    rows = [make_row("reader's mean error on held-out truth, of the mouth's range", mean(errors))]
    for name, words, r_level, j_level in MOUTHS:
        why = NO_PREVIOUS if name == "previous" else ""
        rows.append(make_row(f"mouth r: {words}", mouth_r(talks, name), r_level, why=why))
        rows.append(make_row(f"mouth J: {words}", mouth_j(talks, name), j_level, why=why))
    best_baseline = max(mouth_r(talks, name) for name in BASELINES)
    margin = mouth_r(talks, "spoken") - best_baseline
    gain = mouth_r(talks, "result") - mouth_r(talks, "previous")
    gain_name = "mouth r: result less previous release, true key points"
    return [
        *rows,
        make_row("mouth r: Audio2Pose's lips less the best baseline", margin, 0.0, ">"),
        make_row(gain_name, gain, why=NO_PREVIOUS),
    ]


def sound_rows(talks: Sequence[Figures]) -> list[Row]:
    """Return what the sound does where lips and jaw are withheld from warp and skeleton."""
    right = weak_r(talks, "withheld right")
    other = weak_r(talks, "withheld other")
    off = weak_r(talks, "withheld off")
    lips_on = weak_r(talks, "lips on")
    lips_off = weak_r(talks, "lips off")

    def row(name: str, value: float, level: float | None = None) -> Row:
        return make_row(name, value, level, why=NO_SOUND)

    return [
        row("lips withheld, mouth r: right speech", right),
        row("lips withheld, mouth r: another talk's speech", other),
        row("lips withheld, mouth r: right less other speech", right - other, 0.3),
        row("lips withheld, mouth r: interaction off", off),
        row("lips given, mouth r: interaction on", lips_on),
        row("lips given, mouth r: interaction off", lips_off),
    ]


def free_rows(talks: Sequence[Figures], prior: Correlation, network_why: str) -> list[Row]:
    """Return the rows of pose-free `prior` and `network`."""
    points = energy_ratio(talks, "points prior", "points truth")
    drop = mouth_j(talks, "spoken") - mouth_j(talks, "prior")
    rows = [
        make_row("pose-free prior: wrists' motion energy over truth's, at least", points, 0.3),
        make_row("pose-free prior: wrists' motion energy over truth's, at most", points, 1.5, "<="),
        make_row("pose-free prior: speed-intensity r, key points, pooled", prior.r, 0.0, ">"),
        make_row("pose-free prior: its z against shifted speech", prior.z, 3.0),
        make_row("pose-free prior: mouth r", mouth_r(talks, "prior")),
        make_row("pose-free prior: mouth J below that of true bodies", drop, 0.1, "<="),
    ]
    for name in ("prior", "network"):
        why = network_why if name == "network" else ""
        energy = energy_ratio(talks, f"pixels {name}", "pixels truth")
        r = mean([talk.intensity_r[name] for talk in talks if name in talk.intensity_r])
        rows.append(
            make_row(f"pose-free {name}: pixels' motion energy over truth's", energy, why=why)
        )
        rows.append(make_row(f"pose-free {name}: speed-intensity r, pixels", r, why=why))
    gate = mean([talk.energy["gate"] for talk in talks if "gate" in talk.energy])
    rows.append(make_row("gate at slider 2: change of pixels, gray levels", gate))
    r = mouth_r(talks, "network")
    rows.append(make_row("pose-free network: mouth r", r, why=network_why))
    j = mouth_j(talks, "network")
    rows.append(make_row("pose-free network: mouth J", j, why=network_why))
    return rows


def energy_ratio(talks: Sequence[Figures], name: str, truth: str) -> float:
    """Return the energy of all talks over their truth's, of talks whose truth moves."""
    both = [talk for talk in talks if name in talk.energy and talk.energy.get(truth, 0) > 0]
    if not both:
        return math.nan
    energy = sum(talk.energy[name] for talk in both)
    return energy / sum(talk.energy[truth] for talk in both)
