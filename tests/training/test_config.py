"""The configuration of APV-Gen's trainer."""

import pytest

from pipeline.training.config import CONFIGS, TrainConfig, change, read_config
from pipeline.values import InputError


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_read(path):
    assert read_config(path) != TrainConfig()


def test_shipped_configurations_have_short_names(tmp_path):
    assert read_config(tmp_path / "cpu").model == "new"
    with pytest.raises(InputError, match=r"no configuration .*gpu; name .* cpu, eight_gpus"):
        read_config(tmp_path / "gpu")


def test_the_defaults_are_the_papers():
    config = TrainConfig()
    assert (config.frames, config.size, config.alpha, config.beta) == (21, (768, 512), 0.1, 1.0)
    assert (config.learning_rate, config.warm_up, config.dropout) == (1e-5, 500, 0.1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("learning_rat = 1.0", "'learning_rat', which is unknown; did you mean 'learning_rate'?"),
        ("frames = 2.5", "gives frames the value 2.5; give a whole number"),
        ("fda = 1", "gives fda the value 1; give true or false"),
        ("frames = 0", "`frames` is 0; give at least 1"),
        ("dropout = 0.4", "`dropout` is 0.4; give a number from 0 to 0.3333"),
        ("ema = nan", "`ema` is nan"),
        ("precision = 'fp8'", "`precision` is 'fp8'; use one of no, bf16"),
        ("frames = = 2", "is no TOML file"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_config(path)
    assert sentence in str(error.value)


def test_whole_numbers_may_stand_for_decimal_ones():
    assert change(TrainConfig(), {"beta": 2}, "here").beta == 2.0
