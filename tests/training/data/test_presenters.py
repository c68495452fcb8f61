"""The drawn presenters: repeatable, key points sit where the picture shows the part, any size,
batched."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from pipeline.training.data import presenters
from tests.helpers.processor_time import units

SIZE = (192, 128)


def _people(count: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return presenters.draw_identities(generator, count), presenters.draw_motions(generator, count)


def _still(motion: presenters.Motions, frames: int = 1) -> presenters.Dofs:
    """Everything at rest: head straight, mouth shut, eyes open, arms hanging."""
    dofs = motion.at(torch.zeros(len(motion), frames))
    zero = {f.name: torch.zeros_like(getattr(dofs, f.name)) for f in dataclasses.fields(dofs)}
    zero["arms"][..., 0] = 0.25
    return presenters.Dofs(**zero)


def _color_at(scene: presenters.Scene, xy: torch.Tensor) -> torch.Tensor:
    height, width = scene.image.shape[-2:]
    return scene.image[0, 0, :, int(xy[1] * height), int(xy[0] * width)]


def test_same_seed_same_pictures_and_other_seed_other_people():
    (who, motion), (again, motion2), (other, _) = _people(2), _people(2), _people(2, seed=1)
    times = torch.tensor([[0.0, 0.1, 50.0], [3.0, 3.1, 9.0]])
    first = presenters.render(who, motion.at(times), SIZE)
    second = presenters.render(again, motion2.at(times), SIZE)
    assert torch.equal(first.image, second.image) and torch.equal(first.face, second.face)
    assert not torch.equal(first.image, presenters.render(other, motion.at(times), SIZE).image)


@pytest.mark.parametrize("size", [(192, 128), (128, 192), (160, 160), (80, 48)])
def test_shapes_and_ranges_at_any_aspect(size):
    who, motion = _people(2)
    scene = presenters.render(
        who, motion.at(torch.rand(2, 3, generator=torch.Generator().manual_seed(0))), size
    )
    assert scene.image.shape == (2, 3, 3, *size) and scene.mask.shape == (2, 3, 1, *size)
    assert scene.body.shape == (2, 3, 18, 3) and scene.hands.shape == (2, 3, 42, 3)
    assert scene.face.shape == (2, 3, 68, 3)
    for values in (scene.image, scene.mask, scene.face[..., 2]):
        assert torch.isfinite(values).all() and values.min() >= 0 and values.max() <= 1


def test_batches_equal_single_people():
    who, motion = _people(3)
    times = torch.tensor([[0.3], [1.0], [2.0]])
    together = presenters.render(who, motion.at(times), SIZE)
    alone = presenters.render(who[1:2], motion[1:2].at(times[1:2]), SIZE)
    # head and hand patches are as large as the batch's largest head needs; the pixels must not
    # depend on it
    assert (together.image[1] - alone.image[0]).abs().max() < 1e-4
    assert torch.allclose(together.body[1], alone.body[0])


def test_points_lie_on_the_person():
    who, motion = _people(6)
    scene = presenters.render(who, motion.at(torch.arange(6.0)[:, None]), SIZE)
    for points in (scene.body[:, 0, :14], scene.hands[:, 0], scene.face[:, 0]):
        for row, mask in zip(points, scene.mask[:, 0, 0], strict=True):
            seen = row[row[:, 2] > 0]
            inside = mask[(seen[:, 1] * SIZE[0]).long(), (seen[:, 0] * SIZE[1]).long()]
            assert (
                inside > 0.3
            ).float().mean() > 0.97  # the jaw of a turned head is the outline itself


def test_points_follow_the_mirror_conventions_of_openpose_and_ibug():
    who, motion = _people(1)
    scene = presenters.render(who, _still(motion), (384, 256))
    body, hands, face = scene.body[0, 0], scene.hands[0, 0], scene.face[0, 0]
    assert body[2, 0] < body[5, 0] and body[14, 0] < body[15, 0] and body[16, 0] < body[17, 0]
    assert torch.allclose(body[1, :2], (body[2, :2] + body[5, :2]) / 2, atol=1e-6)
    assert torch.allclose(
        hands[0, :2], body[7, :2], atol=1e-6
    )  # left hand first, on the left wrist
    assert torch.allclose(hands[21, :2], body[4, :2], atol=1e-6)
    assert face[0, 0] < face[16, 0] and face[36, 0] < face[45, 0] and face[48, 0] < face[54, 0]
    assert face[27, 1] < face[33, 1] < face[51, 1] < face[57, 1] < face[8, 1]


def test_mouth_opening_darkens_the_mouth_and_lowers_lip_and_chin():
    who, motion = _people(1, seed=3)
    who = dataclasses.replace(who, beard=torch.zeros(1), head=torch.full((1,), 0.26))
    shut = _still(motion)
    wide = dataclasses.replace(shut, mouth=torch.tensor([[[1.0, 0.0, 0.0]]]))
    before, after = (
        presenters.render(who, shut, (384, 256)),
        presenters.render(who, wide, (384, 256)),
    )
    place = (0.35 * after.face[0, 0, 62] + 0.65 * after.face[0, 0, 66])[:2]
    assert _color_at(after, place).mean() < 0.6 * _color_at(before, place).mean()
    moved = (after.face - before.face)[0, 0, :, 1] / 0.26
    assert moved[66] > 0.1 and moved[8] > 0.08 and moved[:3].abs().max() < 1e-6


def test_blink_hides_the_eyes_and_head_angles_turn_the_face():
    who, motion = _people(1, seed=5)
    who = dataclasses.replace(who, glasses=torch.zeros(1), head=torch.full((1,), 0.26))
    still = _still(motion)
    shut = dataclasses.replace(still, blink=torch.ones(1, 1))
    turned = dataclasses.replace(still, head=torch.tensor([[[20.0, 0.0, 0.0]]]))
    tilted = dataclasses.replace(still, head=torch.tensor([[[0.0, 0.0, 15.0]]]))
    plain, blinked, right, roll = (
        presenters.render(who, d, (384, 256)) for d in (still, shut, turned, tilted)
    )
    height = lambda s: (s.face[0, 0, 41, 1] - s.face[0, 0, 37, 1]) / 0.26  # noqa: E731
    assert height(plain) > 0.04 and height(blinked) < 0.01
    assert (right.face[0, 0, 30, 0] - plain.face[0, 0, 30, 0]) * 256 / 384 / 0.26 > 0.08
    assert roll.face[0, 0, 45, 1] > roll.face[0, 0, 36, 1] + 0.02


def test_points_outside_the_picture_score_zero():
    who, motion = _people(1)
    who = dataclasses.replace(who, head=torch.full((1,), 0.27), crown=torch.full((1,), 0.05))
    scene = presenters.render(who, _still(motion), SIZE)
    assert (scene.body[0, 0, (10, 13), 2] == 0).all() and scene.body[0, 0, 10, 1] > 1


def test_wrong_row_counts_are_refused():
    who, motion = _people(2)
    with pytest.raises(ValueError, match="one row each"):
        presenters.render(who[:1], motion.at(torch.zeros(2, 1)), SIZE)


def _patch(
    scene: presenters.Scene, frame: int, middle: torch.Tensor, half: int = 9
) -> torch.Tensor:
    x, y = (middle * torch.tensor([SIZE[1], SIZE[0]])).round().long().tolist()
    return scene.image[0, frame].mean(0)[y - half : y + half, x - half : x + half]


def _likeness(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack((one.flatten(), other.flatten())))[0, 1])


def test_textures_move_with_the_body_and_do_not_stick_to_the_screen():
    stays, slips = [], []
    for seed in range(4):
        who, motion = _people(1, seed)
        who = dataclasses.replace(
            who, pattern=torch.zeros(1, 5), offset=torch.zeros(1), jacket=torch.zeros(1)
        )
        who.camera.ramp.zero_()
        dofs = _still(motion, 2)
        step = torch.tensor([8, 5]) / SIZE[0]  # whole pixels: the same samples of the texture
        dofs.sway[0, 1] = step / who.head
        scene = presenters.render(who, dofs, SIZE)
        belly = scene.body[0, :, 1, :2] * 0.45 + scene.body[0, :, (8, 11), :2].mean(1) * 0.55
        stays.append(_likeness(_patch(scene, 0, belly[0]), _patch(scene, 1, belly[1])))
        slips.append(_likeness(_patch(scene, 0, belly[0]), _patch(scene, 1, belly[0])))
    assert min(stays) > 0.95 and sum(slips) / 4 < 0.6


def test_skin_and_cloth_are_not_flat_and_the_shadow_falls_beside_the_person():
    who, motion = _people(1, seed=3)
    who = dataclasses.replace(who, atlas=who.atlas.clone())
    scene = presenters.render(who, _still(motion), SIZE)
    who.atlas.zero_()
    flat = presenters.render(who, _still(motion), SIZE)
    inside = (scene.mask > 0.99).expand_as(scene.image)
    assert (scene.image - flat.image)[inside].abs().mean() > 0.01
    assert torch.equal(scene.mask, flat.mask) and torch.equal(scene.face, flat.face)
    bare = dataclasses.replace(who.camera, shadow=torch.zeros(1))
    dark = dataclasses.replace(who.camera, shadow=torch.full((1,), 0.5))
    light, shaded = (
        presenters.render(dataclasses.replace(who, camera=c), _still(motion), SIZE)
        for c in (bare, dark)
    )
    lost = (light.image - shaded.image)[0, 0].mean(0)
    beside = (scene.mask[0, 0, 0] < 0.01) & (lost > 0.02)
    assert beside.float().mean() > 0.01 and lost[scene.mask[0, 0, 0] > 0.999].abs().max() < 0.05
    assert (scene.mask[0, 0, 0][:4] < 0.5).any() and lost[:4, :4].abs().max() < 0.02


def test_sixty_frames_a_second_on_two_cores():
    who, motion = _people(2)
    dofs = motion.at(100 * torch.rand((2, 5), generator=torch.Generator().manual_seed(0)))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        spent = units(lambda: presenters.render(who, dofs, SIZE), rounds=3)
    finally:
        torch.set_num_threads(threads)
    assert spent < 20  # 8 measured for ten frames
