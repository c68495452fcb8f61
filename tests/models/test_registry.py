"""The table of model sets, downloads with a stand-in for the hub, and checks of single files."""

import dataclasses
import hashlib
import json
import threading

import huggingface_hub
import pytest
import torch
from huggingface_hub import errors
from safetensors.torch import save_file

from pipeline.models import download, measuring_sets, model_files, registry
from pipeline.studio.cli import main


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("APV_MODELS", str(tmp_path))
    return tmp_path


@pytest.fixture
def served(monkeypatch):
    """A hub that serves any file with these bytes, in two parts, and notes what was asked for."""
    content, asked = b"some bytes of a network", []

    def fetch(repository, path, *, revision, local_dir, tqdm_class):
        asked.append((repository, path))
        bar = tqdm_class(total=len(content), initial=0)
        target = local_dir / path
        target.parent.mkdir(parents=True, exist_ok=True)
        for part in (content[:9], content[9:]):
            bar.update(len(part))
        target.write_bytes(b"{}" if path.endswith(".json") else content)
        return str(target)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    return content, asked


def table(monkeypatch, **facts):
    """The dwpose row with other facts about its files, as the only row."""
    row = registry.find("dwpose")
    files = tuple(dataclasses.replace(file, **{"megabytes": None, **facts}) for file in row.files)
    row = dataclasses.replace(row, files=files)
    monkeypatch.setattr(registry, "SETS", (row,))
    return row


def test_a_download_yields_progress_and_is_found_afterwards(place, served, monkeypatch):
    content, asked = served
    row = table(monkeypatch, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    with pytest.raises(ValueError, match="models --download dwpose"):
        registry.located("dwpose")
    steps = list(download.download("dwpose"))
    assert [step.done for step in steps[:3]] == [9, len(content), len(content)] and steps[2].path
    assert asked == [("yzd-v/DWPose", "yolox_l.onnx"), ("yzd-v/DWPose", "dw-ll_ucoco_384.onnx")]
    assert registry.located("dwpose") == {
        file.key: place / "dwpose" / file.path for file in row.files
    }
    assert row.installed and row.megabytes == pytest.approx(2 * len(content) / 1e6)
    assert list(download.download("dwpose")) == []


def test_another_repository_is_asked_and_not_held_to_the_sums(place, served, monkeypatch):
    table(monkeypatch, sha256="0" * 64)
    with pytest.raises(ValueError, match=r"SHA-256 .*; download it again"):
        list(download.download("dwpose"))
    assert not (place / "dwpose" / "yolox_l.onnx").exists()
    list(download.download("dwpose", "me/mine"))
    assert [repository for repository, _ in served[1][1:]] == ["me/mine"] * 2


def test_a_damaged_file_is_fetched_anew(place, served, monkeypatch):
    table(monkeypatch, size=len(served[0]))
    list(download.download("dwpose"))
    (place / "dwpose" / "yolox_l.onnx").write_bytes(b"half")
    with pytest.raises(ValueError, match=f"4 bytes instead of {len(served[0])}; download it again"):
        registry.located("dwpose")
    list(download.download("dwpose"))
    assert len(served[1]) == 3 and registry.located("dwpose")


def test_needed_sets_are_fetched_first_and_from_their_own_repository(place, served, monkeypatch):
    rows = [
        dataclasses.replace(row, files=(model_files.File(key, f"{key}.json"),))
        for row, key in (
            (registry.find("controlnext-svd"), "unet"),
            (registry.find("svd-xt-1-1"), "unet_config"),
        )
    ]
    monkeypatch.setattr(registry, "SETS", tuple(rows))
    list(download.download("controlnext-svd", "me/mine"))
    assert [repository for repository, _ in served[1]] == [rows[1].repository, "me/mine"]
    assert set(registry.located("controlnext-svd")) == {"unet", "unet_config"}


def test_files_of_a_repository_of_ones_own_may_have_another_size(place, served, monkeypatch):
    row = dataclasses.replace(
        registry.find("dwpose"), files=(model_files.File("pose", "pose.json", size=10**6),)
    )
    monkeypatch.setattr(registry, "SETS", (row,))
    with pytest.raises(ValueError, match="instead of 1000000"):
        list(download.download("dwpose"))
    list(download.download("dwpose", "me/mine"))
    assert registry.located("dwpose") and registry.find("dwpose").installed


def test_a_missing_gated_set_names_the_license_page(place):
    with pytest.raises(
        ValueError, match="after accepting its license at https://huggingface.co/stabilityai/"
    ):
        registry.located("svd-xt-1-1")
    with pytest.raises(ValueError, match="download dwpose`$"):
        registry.located("dwpose")


def test_a_closed_download_stops(place, monkeypatch):
    begun, ended = [], []

    def fetch(repository, path, *, revision, local_dir, tqdm_class):
        bar = tqdm_class(total=None)
        begun.append(path)
        try:
            while True:
                bar.update(1)
        except download.Stopped:
            ended.append(path)
            raise

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    before = set(threading.enumerate())
    work = download.download("dwpose")
    assert next(work).total is None
    work.close()
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("ThreadPool"):
            thread.join(10)
    assert begun == ended == ["yolox_l.onnx"]


def response(code: int = 403):
    import httpx

    return httpx.Response(code, request=httpx.Request("GET", "https://huggingface.co"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (errors.GatedRepoError("gated", response=response()), "https://huggingface.co/yzd-v"),
        (errors.RepositoryNotFoundError("no", response=response(404)), "name another repository"),
        (errors.LocalEntryNotFoundError("offline"), "HF_HUB_OFFLINE"),
        (errors.RemoteEntryNotFoundError("no file", response=response(404)), "no file yolox_l"),
        (OSError("disk full"), "disk full"),
    ],
)  # fmt: skip
def test_what_goes_wrong_at_the_hub_is_one_sentence(place, monkeypatch, capsys, error, told):
    def fetch(*args, **options):
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    assert main(["models", "--download", "dwpose"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and told in lines[0]


def test_the_table_is_shown_whole(place, capsys):
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert set(rows) == {
        "mini",
        "controlnext-svd",
        "svd-xt-1-1",
        "aniportrait",
        "dwpose",
        "animatelcm-svd",
        *(row.name for row in measuring_sets.SETS),
    }
    assert rows["mini"]["installed"] and rows["mini"]["missing"] == []
    svd = rows["svd-xt-1-1"]
    assert svd["gated"] and not svd["installed"] and "unet/config.json" in svd["missing"]
    assert not any(
        "unet/diffusion" in path for path in svd["missing"]
    )  # SVD's own UNet is never fetched
    assert rows["controlnext-svd"]["needs"] == ["svd-xt-1-1"]
    assert rows["lpips-alex"]["where"] == "download.pytorch.org and raw.githubusercontent.com"
    assert main(["models"]) == 0
    assert "3057 MB, not installed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [(["nonesuch"], "known sets: mini"), (["mini"], "")],
)
def test_downloads_that_cannot_be(place, capsys, words, told):
    assert main(["models", "--download", *words]) == (2 if told else 0)
    assert told in capsys.readouterr().err


def test_files_are_judged_by_size_and_content(tmp_path):
    whole, pointer, cut = (tmp_path / name for name in ("a.safetensors", "b.safetensors", "c.bin"))
    save_file({"weight": torch.zeros(10)}, whole)
    model_files.check_file(whole)
    with pytest.raises(ValueError, match="bytes instead of 3"):
        model_files.check_file(whole, model_files.File("x", "a", size=3))
    with pytest.raises(ValueError, match="MB instead of 5: incomplete"):
        model_files.check_file(whole, model_files.File("x", "a", megabytes=5))
    pointer.write_text("version https://git-lfs.github.com/spec/v1\n")
    torch.save({"weight": torch.zeros(1000)}, cut)
    model_files.check_file(cut)
    cut.write_bytes(cut.read_bytes()[:-40])
    told = {tmp_path / "no": "is missing", pointer: "Git LFS pointer", cut: "end of its archive"}
    for path, word in told.items():
        with pytest.raises(ValueError, match=word):
            model_files.check_file(path)
