"""The settings of a model without its networks: the same as those of the loaded pipeline."""

import json
import shutil
from dataclasses import replace

import pytest

from pipeline.models.model_settings import ModelSettings, PublishedModel, SavedModel, find_model
from pipeline.render import load
from pipeline.training import release
from tests.helpers.published import tiny_published, write_set
from tests.helpers.tiny import tiny_pipeline


def test_the_settings_of_a_saved_folder_are_those_of_its_pipeline(tmp_path) -> None:
    pipe = tiny_pipeline()
    pipe.save_pretrained(tmp_path)
    model = find_model(str(tmp_path))
    assert isinstance(model, SavedModel)
    assert load.load_settings(str(tmp_path)) == pipe.settings
    assert pipe.settings == replace(ModelSettings(), area=96 * 128)


def test_published_settings_are_the_defaults_changed_by_the_folder(tmp_path) -> None:
    settings = load.load_settings(str(write_set(tmp_path)))
    assert settings == replace(tiny_published().settings, area=64 * 128)
    assert (settings.splice_region, settings.refocus_mode) == ("lips", "amplify")
    assert settings.condition == "StillReference" and not settings.null_inputs


def test_a_set_that_is_not_installed_has_settings_all_the_same() -> None:
    assert isinstance(find_model("controlnext-svd"), PublishedModel)
    assert load.load_settings("controlnext-svd").area == 576 * 1024
    assert load.load_settings("mini").null_inputs
    with pytest.raises(ValueError, match="makes no video by itself"):
        load.load_settings("dwpose")


def test_choices_that_show_nothing_are_told_by_what_the_index_says(tmp_path, root) -> None:
    embedded = load.load_settings("mini")
    assert not embedded.gate_shows and not embedded.network_gestures
    (gate,) = embedded.caveats("gate", "prior")
    (network,) = embedded.caveats(None, "network")
    assert gate.startswith("`refocus` gate changes nothing")
    assert network.startswith("`pose_free` network gives a person who stands still")
    assert embedded.caveats("gate", "network") == (gate, network)
    assert embedded.caveats("both", "prior") == embedded.caveats(None, "prior") == ()
    assert load.load_settings("controlnext-svd").caveats("gate", "network") == ()
    index = json.loads((root / "checkpoints" / "mini" / "model_index.json").read_text())
    index |= {"gate_shows": True, "network_gestures": True}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    assert load.load_settings(str(tmp_path)).caveats("gate", "network") == ()


def test_a_release_keeps_what_was_measured_of_the_weights(tmp_path, root) -> None:
    shutil.copytree(root / "checkpoints" / "mini", tmp_path / "model")
    assert release.main(["--out", str(tmp_path / "model")]) == 0
    settings = load.load_settings(str(tmp_path / "model"))
    assert settings == load.load_settings("mini")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"area": "large"}, "gives area the value 'large'"),
        ({"condition": [None, None]}, "names no condition"),
        ({"condition": ["pipeline.conditioning", "WarpedReference"]}, "train release --out"),
        ({"vae": ["somewhere", "Codec"]}, "trusted are"),
        ({"_class_name": "OtherPipeline"}, "OtherPipeline"),
    ],
)
def test_a_wrong_index_is_refused(tmp_path, root, change: dict, word: str) -> None:
    index = json.loads((root / "checkpoints" / "mini" / "model_index.json").read_text())
    (tmp_path / "model_index.json").write_text(json.dumps(index | change))
    with pytest.raises(ValueError, match=word):
        load.load_settings(str(tmp_path))


def test_the_speech_network_comes_alone(tmp_path, root) -> None:
    whole = load.load("mini", device="cpu").audio2pose
    alone = load.load_speech_network("mini")
    assert type(alone) is type(whole) and not alone.training
    weights = whole.state_dict()
    assert all(weights[name].equal(value) for name, value in alone.state_dict().items())
    index = json.loads((root / "checkpoints" / "mini" / "model_index.json").read_text())
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="could not be loaded"):
        load.load_speech_network(str(tmp_path))
    with pytest.raises(ValueError, match="audio2pose 'eyes' is unknown"):
        load.load_speech_network("mini", "eyes")
