"""Which way each row of `evaluate videos` is better; the order of the report's rows."""

from __future__ import annotations

UP = "up"
DOWN = "down"
NEITHER = ""  # a figure that informs: more of it is neither better nor worse by itself
# A name that is not here begins with one of these, or informs.
BY_NAME = {
    "AKD": DOWN,
    "MKR": DOWN,
    "PCK": UP,
    "HKC": UP,
    "speed-intensity r": UP,
    "amplitude-intensity r": UP,
    "on/off ratio": UP,
    "HKV_on over HKV_off": UP,
    "jerk": DOWN,
    "beats at": UP,
    "accents at": UP,
    "flicker": DOWN,
    "seams": DOWN,
    "PSNR": UP,
    "SSIM": UP,
    "GMSD": DOWN,
    "LPIPS": DOWN,
    "debris": DOWN,
    "silhouette IoU": UP,
    "body points": UP,
    "hand points": UP,
    "hands": UP,
    "faces": UP,
    "lip r": UP,
    "lip J": UP,
    "sync_c_mini": UP,
    "sync_d_mini": DOWN,
    "sync within": UP,
    "Sync-C": UP,
    "Sync-D": DOWN,
    "CSIM": UP,
    "FID": DOWN,
    "FVD": DOWN,
}


def direction(name: str) -> str:
    """Return "up" where more is better, "down" where less is, "" where neither is."""
    plain = name.removeprefix("reenacted: ")
    for start, better in BY_NAME.items():
        if plain.startswith(start):
            return better
    return NEITHER


def sign(name: str) -> int:
    """Return 1 where more is better, -1 where less is, 0 where neither is."""
    return {UP: 1, DOWN: -1, NEITHER: 0}[direction(name)]
