"""The audio-video interaction: idle to the bit, frame-local, trainable, on small and on SVD's own
UNet."""

import pytest
import torch
from diffusers import UNetSpatioTemporalConditionModel

from pipeline.models.controlnext import ControlNeXt
from pipeline.models.denoiser import controlled, run_unet
from pipeline.models.haar import HaarLatent
from pipeline.models.interaction import AudioVideoInteraction, interact
from pipeline.models.temporal import silence_temporal
from pipeline.training import mini_model
from pipeline.values import InputError
from tests.helpers.tiny import open_gates

FRAMES, CHANNELS, HEIGHT, WIDTH = 3, 48, 8, 12


@pytest.fixture(scope="module")
def mini() -> mini_model.Mini:
    """The embedded model's shape in small, whose last layer is not zero."""
    model = mini_model.build(HaarLatent(), 0, widths=(32, 64, 96))
    torch.nn.init.normal_(
        model.unet.conv_out.weight, std=0.1, generator=torch.Generator().manual_seed(1)
    )
    return model


@pytest.fixture()
def inputs() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    shapes = {
        "sample": (1, FRAMES, CHANNELS, HEIGHT, WIDTH), "image": (1, FRAMES, CHANNELS, HEIGHT, WIDTH),
        "tokens": (1, 6, 64), "control": (FRAMES, 32, HEIGHT, WIDTH), "audio": (FRAMES, 5, 160),
    }  # fmt: skip
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def run(mini, interaction, given, audio) -> torch.Tensor:
    with controlled(mini.unet, mini.controlnext, interaction) as injection:
        return run_unet(
            mini.unet, injection, given["sample"], 1.0, given["image"], given["tokens"], given["control"],
            audio=audio,
        )  # fmt: skip


def opened(interaction: AudioVideoInteraction) -> AudioVideoInteraction:
    """A copy whose gates let the sound through."""
    copy = AudioVideoInteraction.from_config(interaction.config)
    copy.load_state_dict(interaction.state_dict())
    open_gates(copy)
    return copy


def test_untrained_it_leaves_the_output_as_it_is_to_the_bit(mini, inputs) -> None:
    with torch.no_grad():
        plain = run(mini, None, inputs, None)
        assert torch.equal(run(mini, mini.interaction, inputs, inputs["audio"]), plain)
    hooked = run(
        mini, mini.interaction, inputs, inputs["audio"]
    )  # with gradients the hooks are there
    assert hooked.requires_grad and torch.equal(hooked.detach(), plain)
    assert not mini.unet.mid_block._forward_hooks


def test_sound_changes_its_own_frame_only(mini, inputs) -> None:
    silence_temporal(mini.unet)
    interaction, other = opened(mini.interaction), inputs["audio"].clone()
    other[1] += 1
    with torch.no_grad():
        one, two = (run(mini, interaction, inputs, audio) for audio in (inputs["audio"], other))
        null = run(mini, interaction, inputs, None)
    changed = (one - two).abs().amax((0, 2, 3, 4))
    assert changed[1] > 1e-4 and changed[0] == changed[2] == 0
    assert (one - null).abs().amax((0, 2, 3, 4)).min() > 1e-4


def test_the_pose_prior_reaches_the_picture_through_the_sound(mini, inputs) -> None:
    interaction = opened(mini.interaction)
    tokens = interaction.audio(inputs["audio"], FRAMES)
    site, hidden = interaction.exchanges[1], torch.randn(FRAMES, 96, 2, 3)
    poses = [interaction.pose(inputs["control"] * k, 1.0) for k in (1, 2)]
    pictures = [site(hidden, tokens, pose)[0] for pose in poses]
    assert not torch.equal(*pictures)
    assert torch.equal(
        interaction.pose(inputs["control"], 0.0), interaction.pose(inputs["control"] * 0)
    )


def test_a_site_goes_on_from_the_audio_that_the_site_before_it_updated(mini, inputs) -> None:
    carried = opened(mini.interaction)
    restarted = AudioVideoInteraction.from_config(carried.config, audio_path="restarted")
    restarted.load_state_dict(carried.state_dict())
    seen = {}
    for name, interaction in {"carried": carried, "restarted": restarted}.items():
        seen[name] = []
        for site in interaction.exchanges:
            site.register_forward_hook(
                lambda site, given, result, name=name: seen[name].append((given[1], result[1]))
            )
        with torch.no_grad():
            first = run(mini, interaction, inputs, inputs["audio"])
            second = run(mini, interaction, inputs, inputs["audio"])
        assert torch.equal(first, second)  # a call begins with the frame's own tokens again
    own = carried.audio(inputs["audio"], FRAMES)
    count = len(carried.exchanges)
    for number, (given, updated) in enumerate(seen["carried"][:count]):
        before = own if number == 0 else seen["carried"][number - 1][1]
        assert torch.equal(given, before)
        assert not torch.equal(given, updated)
    assert all(torch.equal(given, own) for given, _ in seen["restarted"])


def test_an_unknown_audio_path_is_refused() -> None:
    with pytest.raises(InputError, match="audio_path is 'both'"):
        AudioVideoInteraction(audio_path="both")


def test_tokens_of_another_speech_network_count_as_none(mini, inputs) -> None:
    foreign = mini.interaction.audio(torch.randn(FRAMES, 1, 768), FRAMES)
    assert torch.equal(foreign, mini.interaction.audio(None, FRAMES))
    assert not torch.equal(foreign, mini.interaction.audio(inputs["audio"], FRAMES))


def test_gradients_reach_gates_first_and_then_everything(mini, inputs) -> None:
    interaction = AudioVideoInteraction.from_config(mini.interaction.config)
    interaction.load_state_dict(mini.interaction.state_dict())
    audio_mask = torch.tensor([1.0, 0.0, 1.0])
    for opening in (False, True):
        interaction.zero_grad()
        if opening:
            open_gates(interaction)
        with controlled(mini.unet, mini.controlnext, interaction) as injection:
            control = torch.where(
                audio_mask.view(-1, 1, 1, 1) > 0,
                inputs["control"],
                interaction.null_control(FRAMES),
            )
            out = run_unet(
                mini.unet, injection, inputs["sample"], 1.0, inputs["image"], inputs["tokens"], control,
                audio=inputs["audio"], audio_mask=audio_mask,
            )  # fmt: skip
        out.square().mean().backward()
        assert all(site.gate.weight.grad.abs().max() > 0 for site in interaction.exchanges)
    missing = [
        name for name, p in interaction.named_parameters() if p.grad is None or not p.grad.any()
    ]
    assert missing == []
    mini.networks.zero_grad()


def test_saved_and_loaded_it_gives_the_same(mini, inputs, tmp_path) -> None:
    interaction = opened(mini.interaction)
    interaction.save_pretrained(tmp_path)
    again = AudioVideoInteraction.from_pretrained(tmp_path)
    assert tuple(again.config.sites) == ("conv_in", "mid_block", "up_blocks.0", "up_blocks.1")
    with torch.no_grad():
        one, two = (run(mini, part, inputs, inputs["audio"]) for part in (interaction, again))
    assert (one - two).abs().max() < 1e-5


def test_a_site_that_the_unet_lacks_is_named(mini) -> None:
    wrong = AudioVideoInteraction(sites=("up_blocks.9",), widths=(32,), pose_channels=32)
    with pytest.raises(ValueError, match=r"up_blocks\.9"), interact(mini.unet, wrong):
        pass


def test_it_fits_svds_own_unet() -> None:
    """Shapes only, on the meta device: 1.5 billion parameters."""
    sites, widths = (
        ("down_blocks.2", "mid_block", "up_blocks.1", "up_blocks.2"),
        (1280, 1280, 1280, 640),
    )
    with torch.device("meta"):
        unet = UNetSpatioTemporalConditionModel().to(
            "meta"
        )  # its mix factors heed no device context
        interaction = AudioVideoInteraction(
            sites=sites, widths=widths, pose_channels=320, dim=256, heads=8
        )
        network = ControlNeXt()
        sample, image = torch.randn(1, 2, 4, 16, 8), torch.randn(1, 2, 4, 16, 8)
        tokens, control, audio = (
            torch.randn(1, 1, 1024),
            torch.randn(2, 320, 8, 4),
            torch.randn(2, 5, 160),
        )
        with controlled(unet, network, interaction) as injection:
            time = torch.ones(1)
            out = run_unet(unet, injection, sample, time, image, tokens, control, audio=audio)
    assert out.shape == sample.shape and out.device.type == "meta"


def test_other_attention_processors_fit(mini, inputs) -> None:
    from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0

    interaction, results = opened(mini.interaction), []
    for processor in (AttnProcessor(), AttnProcessor2_0()):
        for site in interaction.exchanges:
            site.listen.set_processor(processor)
            site.speak.set_processor(processor)
        with torch.no_grad():
            results.append(run(mini, interaction, inputs, inputs["audio"]))
    assert (results[0] - results[1]).abs().max() < 1e-4
