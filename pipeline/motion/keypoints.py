"""The key-point layouts: indices, limbs and regions of body, hands and face."""

from __future__ import annotations

# OpenPose: 0 nose, 1 neck, 2-4 right arm, 5-7 left arm, 8-10 right leg, 11-13 left leg, 14-17 eyes, ears.
BODY_LIMBS = (
    *(
        (1, 2),
        (1, 5),
        (2, 3),
        (3, 4),
        (5, 6),
        (6, 7),
        (1, 8),
        (8, 9),
        (9, 10),
        (1, 11),
        (11, 12),
        (12, 13),
    ),
    *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
)
HAND_EDGES = tuple((0 if k == 0 else 4 * f + k, 4 * f + k + 1) for f in range(5) for k in range(4))
# iBUG 68: 0-16 jaw from image left, 17-26 brows, 27-35 nose, 36-47 eyes, 48-59 outer and 60-67 inner lip.
RIGHT_EYE, LEFT_EYE, OUTER_LIP, INNER_LIP = (
    range(36, 42),
    range(42, 48),
    range(48, 60),
    range(60, 68),
)
