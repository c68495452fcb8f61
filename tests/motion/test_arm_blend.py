"""An arm between rest and the driver's: lengths, hand, and no jump however the driver turns."""

import numpy as np

from pipeline.motion.arm_blend import ArmPlaces, between

ALL_SEEN = np.ones(21, bool)
FAN = np.concatenate([[0], np.linspace(5, 20, 20) * np.exp(1j * np.linspace(-0.5, 0.5, 20))])


def arm(upper_turn: np.ndarray, bend: np.ndarray, palm: float = 0.0) -> ArmPlaces:
    """An arm of 40 and 30 pixels whose upper arm, forearm and hand turn by angles (T,)."""
    upper_turn, bend = np.broadcast_arrays(np.atleast_1d(upper_turn), np.atleast_1d(bend))
    shoulder = np.full((len(bend), 1), 100 + 50j)
    elbow = shoulder + 40 * np.exp(1j * upper_turn)[:, None]
    forearm = np.exp(1j * (upper_turn + bend))[:, None]
    wrist = elbow + 30 * forearm
    return ArmPlaces(shoulder, elbow, wrist, wrist + forearm * np.exp(1j * palm) * FAN)


def test_halfway_turns_every_bone_half_and_keeps_its_length() -> None:
    halfway = between(arm(1.5, 0.2), arm(0.5, 1.0, 0.4), 0.5, ALL_SEEN)
    expected = arm(1.0, 0.6, 0.2)
    for name in ("shoulder", "elbow", "wrist", "hand"):
        assert np.allclose(getattr(halfway, name), getattr(expected, name))


def test_the_ends_are_rest_and_driver() -> None:
    rest, driven = arm(1.5, 0.2), arm(-2.0, 1.0, 0.4)
    for share, expected in ((0.0, rest), (1.0, driven)):
        out = between(rest, driven, share, ALL_SEEN)
        assert np.allclose(out.wrist, expected.wrist) and np.allclose(out.hand, expected.hand)


def test_a_driver_who_turns_the_arm_full_circle_makes_no_jump() -> None:
    turn = np.linspace(0, 4 * np.pi, 400)
    rest = arm(np.full(400, 1.5), np.zeros(400))
    for share in (0.2, 0.4, 0.7, 0.9):
        out = between(rest, arm(turn, turn / 2), share, ALL_SEEN)
        steps = abs(np.diff(out.elbow[:, 0]))
        assert steps.max() < 0.35 * 40  # a jump over the circle would be near 2 * 40
        assert np.allclose(abs(out.elbow - out.shoulder), 40)
        assert np.allclose(abs(out.wrist - out.elbow), 30)


def test_an_unseen_hand_goes_with_the_forearm() -> None:
    rest, driven = arm(1.5, 0.2), arm(0.5, 1.0, 0.4)
    out = between(rest, driven, 0.5, np.zeros(21, bool))
    forearm = out.wrist - out.elbow
    assert np.allclose(out.hand - out.wrist, forearm / 30 * np.exp(0.4j) * FAN)
    some = ALL_SEEN.copy()
    some[20] = False
    lost = ArmPlaces(rest.shoulder, rest.elbow, rest.wrist, rest.hand.copy())
    lost.hand[:, 20] = 0
    assert np.allclose(
        between(lost, driven, 0.5, some).hand, between(rest, driven, 0.5, ALL_SEEN).hand
    )
