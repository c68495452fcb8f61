"""The denoiser's training on tiny synthetic clips: losses, resuming, export; not a model's
quality."""

import json

import numpy as np
import pytest
import torch

from pipeline.models.denoiser import controlled, prepare_scheduler
from pipeline.models.haar import CHANNELS, HaarLatent
from pipeline.training import (
    denoising_step,
    losses,
    mini_model,
    run_state,
    train_video,
    video_steps,
)
from pipeline.training.data import batches
from tests.helpers.clips import tiny_clips


@pytest.fixture()
def folder(tmp_path):
    (tmp_path / "pool").mkdir()
    for i in range(2):
        tiny_clips(seed=i).save(tmp_path / "pool" / f"{i}.npz")
    return tmp_path


def new_run(folder, seed: int = 0) -> run_state.Run:
    codec = mini_model.measure_codec(tiny_clips())
    model = mini_model.build(codec, seed, widths=(32, 32, 32))
    return run_state.Run(model, folder)


def test_loss_weighs_regions_and_punishes_needless_change():
    clips = tiny_clips()
    batch = batches.plain(clips)
    weight = losses.region_weights(batch.validity, batch.face, batch.hands)
    assert weight.shape == (4, 1, 16, 16)
    assert (
        weight.max() == pytest.approx(losses.MOUTH_WEIGHT) and weight.min() >= losses.VALID_WEIGHT
    )
    clean, ones, channels = torch.zeros(4, 3, 16, 16), torch.ones(4, 1, 16, 16), torch.ones(3)
    still = losses.denoising_loss(clean, clean, weight, ones, channels)
    assert still == 0
    changed = losses.denoising_loss(clean + 0.5, clean, weight, ones, channels)
    assert changed > losses.denoising_loss(clean + 0.5, clean, weight, 0 * ones, channels) > 0


def test_psnr_has_the_known_value():
    one = torch.zeros(2, 3, 8, 8)
    assert losses.psnr(one, one + 0.1) == pytest.approx(20.0, abs=1e-4)
    box = torch.zeros(2, 1, 8, 8)
    assert np.isnan(losses.psnr(one, one + 0.1, box))


def test_noise_levels_are_those_of_the_sampler_at_one_and_four_steps():
    scheduler = mini_model.make_scheduler()
    levels = denoising_step.sampler_levels(scheduler)
    for steps in (1, 4):
        assert torch.isin(prepare_scheduler(scheduler, steps).sigmas[:-1], levels).all()
    clips = tiny_clips(count=400, size=(16, 16), frames=1)
    batch, has_pose = batches.plain(clips), torch.ones(400)
    chosen = denoising_step.draw_choices(
        batch, has_pose, scheduler, torch.Generator().manual_seed(0)
    )
    assert torch.isin(chosen.levels, levels).all()
    assert (chosen.levels == 80).float().mean() == pytest.approx(denoising_step.TOP_SIGMA, abs=0.07)
    assert 1 - chosen.has_audio.mean() == pytest.approx(denoising_step.AUDIO_DROPOUT, abs=0.05)


def test_the_gate_follows_the_loudness_down_to_its_floor(monkeypatch):
    monkeypatch.setattr(denoising_step, "GATED", 1.0)
    clips = tiny_clips(count=3, size=(16, 16), frames=2)
    clips.loudness = torch.tensor([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    batch, generator = batches.plain(clips), torch.Generator().manual_seed(0)
    chosen = denoising_step.draw_choices(
        batch, torch.ones(3), mini_model.make_scheduler(), generator
    )
    assert chosen.scale.tolist() == pytest.approx([0.2, 1.0, 0.6, 0.6, 1.0, 0.2])


def test_a_clip_without_pose_starts_from_the_still_reference_and_has_no_validity():
    model = new_run(None).mini
    batch = batches.plain(tiny_clips())
    chosen = denoising_step.StepChoices(
        torch.full((2,), 80.0), torch.tensor([1.0, 0.0]), torch.ones(2), torch.ones(4)
    )
    task, weights = denoising_step.make_task(model, batch, chosen, None, torch.Generator())
    warped, still = model.encode(batch.warped).view_as(task.base), model.encode(batch.reference)
    assert torch.equal(task.base[0], warped[0]) and torch.equal(task.base[1, 1], still[1])
    assert task.extra[:2].max() == 1 and task.extra[2:].max() == 0 and weights.rest[2:].max() == 0
    target = model.vae.add_residual(task.base[1], task.clean[1])
    assert torch.allclose(target, model.encode(batch.truth)[2:], atol=1e-5)
    with (
        torch.no_grad(),
        controlled(model.unet, model.controlnext, model.interaction) as injection,
    ):
        seen = []
        injection.set = lambda control, scale=1.0, level=None: seen.append(control)
        denoising_step.predict_clean(model, injection, task, task.clean, chosen.levels)
    null = model.interaction.null_pose.detach().view(1, -1, 1, 1)
    assert torch.equal(seen[0][2:], null.expand_as(seen[0][2:])) and not torch.equal(
        seen[0][:1], seen[0][2:3]
    )


def test_a_clip_without_pose_gets_another_of_its_frames_as_reference():
    clips = tiny_clips(count=2, frames=3)
    clips.truth += torch.arange(3, dtype=torch.uint8).view(1, 3, 1, 1, 1)
    clips.loudness[:] = torch.arange(3.0)
    seen = set()
    for seed in range(12):
        one = denoising_step.pick_frames(
            clips, torch.tensor([1.0, 0.0]), torch.Generator().manual_seed(seed)
        )
        assert one.truth.shape[1] == one.audio.shape[1] == 1 and torch.equal(
            one.reference[0], clips.reference[0]
        )
        frame = int(one.loudness[1])
        assert torch.equal(one.truth[1, 0], clips.truth[1, frame])
        away = int(one.reference[1].int().sub(clips.truth[1, frame].int()).unique())
        assert away != 0
        seen.add((frame, frame + away))
    assert len(seen) > 3


def test_own_states_are_those_that_euler_steps_reach():
    model = new_run(None).mini
    torch.nn.init.normal_(
        model.unet.conv_out.weight, std=0.05, generator=torch.Generator().manual_seed(0)
    )
    batch, generator = batches.plain(tiny_clips()), torch.Generator().manual_seed(0)
    chosen = denoising_step.draw_choices(batch, torch.ones(2), model.scheduler, generator)
    task, _ = denoising_step.make_task(model, batch, chosen, None, generator)
    noise = torch.randn(task.clean.shape, generator=generator)
    scheduler = prepare_scheduler(mini_model.make_scheduler(), 4)
    levels = scheduler.sigmas[1].expand(2)
    with (
        torch.no_grad(),
        controlled(model.unet, model.controlnext, model.interaction) as injection,
    ):
        state = denoising_step.make_states(
            model, injection, task, levels, noise, torch.tensor([True, False])
        )
        start = noise * 80
        guess = denoising_step.predict_clean(model, injection, task, start, torch.full((2,), 80.0))
    scheduler.scale_model_input(start, scheduler.timesteps[0])
    stepped = scheduler.step(guess, scheduler.timesteps[0], start).prev_sample
    assert torch.allclose(state[0], stepped[0], atol=1e-3)
    assert torch.allclose(state[1], task.clean[1] + scheduler.sigmas[1] * noise[1], atol=1e-4)


def test_crops_of_withheld_lips_hold_the_mouth(monkeypatch):
    monkeypatch.setattr(denoising_step, "LIPS_CROP", 1.0)
    clips = tiny_clips(count=6, size=(128, 128), frames=1)
    clips.lips[:] = 0
    clips.face[:, :, 48:, :2] = torch.tensor([0.75, 0.25])
    corners = denoising_step.choose_corners(
        batches.plain(clips), 16, torch.Generator().manual_seed(0)
    )
    assert all(row <= 8 <= row + 16 and column <= 24 <= column + 16 for row, column in corners)


def test_mouth_steps_draw_withheld_clips_and_all_their_crops_hold_the_mouth(folder):
    clips = tiny_clips(count=8, size=(128, 128), frames=2, seed=4)
    clips.lips[3:5] = 0
    clips.face[:, :, 48:, :2] = torch.tensor([0.75, 0.25])
    clips.save(folder / "pool" / "0.npz")
    (folder / "pool" / "1.npz").unlink()
    recipe = video_steps.Recipe(mouth_share=1.0)
    shape = video_steps.draw_shape(recipe, 0.0, torch.Generator().manual_seed(0))
    assert shape == video_steps.MOUTH_CROPS and shape.frames == 1
    assert video_steps.draw_shape(recipe, 0.95, torch.Generator()).side is None
    drawn = batches.Pool(folder / "pool", torch.Generator().manual_seed(1)).draw(
        30, video_steps.ALL_WITHHELD
    )
    assert drawn.lips.sum() <= 2
    batch = batches.plain(
        denoising_step.pick_frames(drawn, torch.ones(30), torch.Generator().manual_seed(0))
    )
    corners = denoising_step.choose_corners(batch, shape.side, torch.Generator().manual_seed(0))
    held = [row <= 8 <= row + 8 and column <= 24 <= column + 8 for row, column in corners]
    assert all(h for h, lips in zip(held, batch.lips, strict=True) if not lips)


def test_sharpness_is_zero_for_the_truth_and_punishes_blur():
    generator = torch.Generator().manual_seed(0)
    true, ones = torch.randn((2, CHANNELS, 8, 8), generator=generator), torch.ones(2, 1, 8, 8)
    channels = torch.ones(CHANNELS)
    assert losses.sharpness_loss(true, true, ones, channels) == 0
    soft = [losses.sharpness_loss(true * k, true, ones, channels) for k in (0.5, 0.9)]
    assert soft[0] > soft[1] > 0
    other = torch.randn((2, CHANNELS, 8, 8), generator=generator)  # as sharp, though elsewhere
    assert losses.sharpness_loss(other, true, ones, channels) < soft[0]


def test_hearing_tells_the_right_speech_from_another(monkeypatch):
    """A stand-in that paints the mouth as bright as the sound says: r is 1 with the clip's own
    speech."""
    clips = tiny_clips(count=4, frames=4)
    batch = batches.plain(clips)
    mouth = losses.boxes(batch.face, batch.hands, clips.size)["mouth"]
    area, level = mouth.sum((1, 2, 3)), batch.truth.mean(1, keepdim=True)
    wanted = ((level * mouth).sum((1, 2, 3)) / area).view(-1, 1, 1, 1)
    clips.audio[:, :, 0, 0] = wanted.view(4, 4)

    def paint(model, given, steps, seed):
        return torch.ones_like(given.truth) * given.audio[:, 0, 0].view(-1, 1, 1, 1)

    monkeypatch.setattr(mini_model, "generate", paint)
    found = mini_model.evaluate_hearing(new_run(None).mini, [clips])
    assert found["r_right"] > 0.99 > found["r_other"] + 0.2
    assert found["mouth_right"] >= found["mouth_other"]


def test_weights_of_version_one_are_taken_on_and_hear_nothing_at_first(tmp_path):
    old = new_run(None).mini
    old.interaction = None
    mini_model.export(old, tmp_path / "old")
    (tmp_path / "vae").mkdir()
    old.vae.save_pretrained(tmp_path / "vae")
    assert not (tmp_path / "old" / "interaction").exists()
    new = train_video.load_networks(tmp_path, 0, tmp_path / "old", tmp_path / "nowhere")
    assert new.interaction is not None and new.interaction.idle
    batch = batches.plain(tiny_clips())
    again = mini_model.load(tmp_path / "old")
    assert torch.equal(
        mini_model.generate(new, batch, 1, 0), mini_model.generate(again, batch, 1, 0)
    )
    mini_model.export(new, tmp_path / "new")
    kept = mini_model.load(tmp_path / "new").interaction
    assert torch.allclose(kept.null_pose, new.interaction.null_pose, atol=1e-2)


def test_lent_ears_begin_with_what_audio2pose_hears():
    from pipeline.models.audio2pose import Audio2Pose

    heard, interaction = Audio2Pose(), new_run(None).mini.interaction
    mini_model.init_audio_projection(interaction, heard)
    tokens = torch.randn((3, 5, 160), generator=torch.Generator().manual_seed(0))
    own = interaction.audio_in(tokens)[..., 0] - interaction.audio_in.bias[0]
    assert np.corrcoef(
        own.detach().flatten(), (tokens @ heard.params.weight[0, :, 0]).detach().flatten()
    )[0, 1] == pytest.approx(1, abs=1e-4)


def test_new_networks_return_the_warp_itself():
    run = new_run(None)
    batch = batches.plain(tiny_clips())
    with torch.no_grad():
        picture = mini_model.generate(run.mini, batch, 1, 0)
    assert (
        picture - batch.warped
    ).abs().max() < 0.02  # one step from sigma 80 to 0: nothing of the noise is left


def test_training_lowers_the_loss_and_resumes_to_the_same_weights(folder, monkeypatch):
    clips = tiny_clips()

    def steps(run: run_state.Run, count: int) -> list[float]:
        values = []
        for _ in range(count):
            generator = batches.step_generator(0, run.step)
            loss, still = denoising_step.compute_loss(run.mini, batches.plain(clips), 8, generator)
            run.update(loss, 0.0)
            values.append(float(loss.detach() / still))
        return values

    monkeypatch.setattr(denoising_step, "TOP_SIGMA", 1.0)
    run = new_run(folder)
    values = steps(run, 12)
    assert np.mean(values[-3:]) < 0.95 * np.mean(values[:3])
    run.save()
    after = steps(run, 2)
    again = new_run(folder, seed=1)
    again.resume()
    assert again.step == 12
    assert steps(again, 2) == pytest.approx(after, rel=1e-4)
    for name, value in run.average.items():
        assert torch.allclose(again.average[name], value, atol=1e-5), name
    assert (
        not list(folder.glob("*.pt"))
        and json.loads((folder / "progress.json").read_text())["step"] == 12
    )


def test_export_is_half_precision_and_loads_to_the_same_pictures(tmp_path):
    run = new_run(tmp_path)
    torch.nn.init.normal_(
        run.mini.unet.conv_out.weight, std=0.05, generator=torch.Generator().manual_seed(0)
    )
    batch = batches.plain(tiny_clips())
    before = mini_model.generate(run.mini, batch, 1, 0)
    mini_model.export(run.mini, tmp_path / "model")
    again = mini_model.load(tmp_path / "model")
    assert again.controlnext.config.where == "conv_in"
    assert (mini_model.generate(again, batch, 1, 0) - before).abs().max() < 0.02
    saved = (tmp_path / "model" / "unet" / "diffusion_pytorch_model.safetensors").stat().st_size
    assert saved < 2.2 * sum(p.numel() for p in run.mini.unet.parameters())
    figures = mini_model.evaluate(again, [tiny_clips()])
    assert figures["copy_psnr"] > figures["warp_psnr"]
    assert {"result_face", "result_hands", "changed_valid"} <= set(figures)
    assert mini_model.contact_sheet(again, tiny_clips()).shape == (128, 9 * 64, 3)


def test_codec_rows_whiten_pictures_and_residuals():
    clips = tiny_clips()
    codec = mini_model.measure_codec(clips)
    truth, warped = (p.flatten(0, 1).float() / 127.5 - 1 for p in (clips.truth, clips.warped))
    latents, base = (codec.encode(p).latent_dist.mode() for p in (truth, warped))
    residual = codec.residual_of(latents, base)
    spread = residual.square().mean((0, 2, 3)).sqrt()
    assert spread[0] == pytest.approx(1, abs=0.01)
    assert isinstance(codec, HaarLatent) and len(codec.config.latent_std) == CHANNELS


def test_command_line_refuses_senseless_numbers(capsys):
    with pytest.raises(SystemExit) as stop:
        train_video.main(["--minutes", "0"])
    assert stop.value.code == 2
    assert "must be positive" in capsys.readouterr().err
