"""Outputs are checked before the work."""

import pytest

from pipeline.studio.cli.output_files import check_outputs
from pipeline.values import InputError


def test_links_in_a_circle_get_a_sentence(tmp_path) -> None:
    link = tmp_path / "link.png"
    link.symlink_to(link)
    for files in (
        {"outputs": [str(tmp_path / "out.mp4")], "inputs": [str(link)]},
        {"outputs": [str(link)], "inputs": []},
    ):
        with pytest.raises(InputError, match=r"link.png cannot be reached .* links .* check the"):
            check_outputs(**files)


def test_a_name_over_the_systems_limit_gets_a_sentence(tmp_path) -> None:
    name = str(tmp_path / ("n" * 300 + ".mp4"))
    with pytest.raises(InputError, match="name is too long"):
        check_outputs(outputs=[name], inputs=[])


@pytest.mark.parametrize("outputs", [[""], ["out.mp4", ""]])
def test_an_empty_name_gets_a_sentence(tmp_path, monkeypatch, outputs: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="an output has an empty name"):
        check_outputs(outputs=outputs, inputs=[], videos=outputs)


def test_the_root_is_no_reason_to_fail() -> None:
    with pytest.raises(InputError, match="named twice"):
        check_outputs(outputs=["/", "/"], inputs=[], may_be_folder=lambda path: True)
