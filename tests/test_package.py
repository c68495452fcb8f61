"""The public Python interface: what `from pipeline import ...` offers."""

import ast
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pipeline
from tests.helpers import check_wheels


def test_importing_the_package_imports_nothing_heavy(root):
    code = "import sys, pipeline; print(sorted({'torch', 'numpy', 'gradio', 'cv2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_load_is_the_loader_of_render():
    from pipeline.render.load import load

    assert pipeline.load is load


def test_the_old_name_of_the_loader_still_works_and_says_what_to_use():
    with pytest.warns(FutureWarning, match="from pipeline import load"):
        from pipeline import weights
    assert weights.load is pipeline.load


def test_other_names_are_refused_as_python_does():
    with pytest.raises(AttributeError, match="no attribute 'nonesuch'"):
        pipeline.nonesuch  # noqa: B018


def requirements(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_the_wheel_needs_what_the_checkout_needs(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dependencies"] == requirements(root / "requirements.txt")
    assert project["version"] == pipeline.__version__


@pytest.mark.parametrize("name", ["app.py", "pipeline/__init__.py", "pipeline/__main__.py"])
def test_old_pythons_can_read_the_files_that_refuse_them(root, name):
    text = (root / name).read_text(encoding="utf-8")
    ast.parse(text, feature_version=(3, 6))
    assert "from __future__ import annotations" not in text  # unknown to Python 3.6
    assert text.index("check_interpreter") < text.find("pipeline.studio") or name.endswith(
        "init__.py"
    )


def test_an_old_python_gets_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 9, 18, "final", 0))
    with pytest.raises(SystemExit) as stop:
        pipeline.check_interpreter()
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1
    assert "needs Python 3.11 or newer" in said and "is Python 3.9" in said


def test_missing_packages_are_named_with_the_remedy(monkeypatch, capsys):
    monkeypatch.setattr(pipeline, "NEEDED_PACKAGES", ("numpy", "no_such_package"))
    with pytest.raises(SystemExit):
        pipeline.check_interpreter()
    said = capsys.readouterr().err
    assert "lacks no_such_package" in said and "pip install -r requirements.txt" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("start", [["app.py"], ["-m", "pipeline"]])
def test_a_python_without_packages_gets_one_sentence(root, start):
    """-S leaves site-packages out, so that no package is found."""
    done = subprocess.run([sys.executable, "-S", *start], cwd=root, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: APV Studio lacks") and done.stderr.count("\n") == 1


def stand_in(folder: Path, name: str, version: str, torch: str = "") -> Path:
    """Make a package that cannot be imported, as one that was built for another torch."""
    package = folder / name
    package.mkdir(parents=True)
    fault = 'raise RuntimeError("operator torchvision::nms does not exist")'
    (package / "__init__.py").write_text(fault)
    (package / "version.py").write_text(f"__version__ = '{version}'\ncuda = None\n")
    release = version.partition("+")[0]
    facts = folder / f"{name}-{release}.dist-info"
    facts.mkdir()
    needs = f"Requires-Dist: torch{torch}\n" if torch else ""
    (facts / "METADATA").write_text(f"Name: {name}\nVersion: {release}\n{needs}")
    return folder


@pytest.mark.parametrize(
    "version, torch, installed_torch, fits",
    [
        ("0.28.0+cu130", "==2.13.0", "2.13.0+cpu", False),
        ("0.28.0+cu130", "==2.13.0", "2.13.0+cu130", True),
        ("0.28.0+cpu", " (==2.13.0)", "2.13.0+cu130", False),
        ("0.27.0+cpu", "==2.12.0", "2.13.0+cpu", False),
        ("0.28.0", "==2.13.0", "2.13.0", True),
        ("0.24.0a0+98f8b375", "==2.9.0a0+50eac811", "2.9.0a0+50eac811.nv25.09", True),
        ("0.0.35", ">=2.8", "2.13.0+cpu", True),
        ("0.28.0+cpu", "", "2.13.0+cpu", True),
    ],
)
def test_builds_for_another_torch_are_told(
    tmp_path, monkeypatch, capsys, version, torch, installed_torch, fits
):
    monkeypatch.syspath_prepend(str(stand_in(tmp_path, "torchvision", version, torch)))
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.setattr(pipeline, "OPTIONAL_PACKAGES", ("torchvision", "no_such_package"))
    written = pipeline._written_version
    versions = {"torch": installed_torch}
    monkeypatch.setattr(
        pipeline, "_written_version", lambda name: versions.get(name) or written(name)
    )
    pipeline.leave_out_other_builds()
    said = capsys.readouterr().err
    assert (sys.modules.get("torchvision", "tried") is None) == (not fits)
    if fits:
        assert said == ""
    else:
        assert version in said and installed_torch in said and said.count("\n") == 1
        assert "pip uninstall torchvision" in said
    sys.modules.pop("torchvision", None)


@pytest.mark.parametrize(
    "words",
    [
        ["-c", "from pipeline import load; load('mini', device='cpu')"],
        ["-m", "pipeline", "models", "--json"],
        ["-m", "pipeline", "evaluate", "videos", "--help"],
    ],
)
def test_a_torchvision_of_another_build_breaks_nothing(root, tmp_path, words):
    """Without this the import of diffusers ends in a traceback."""
    folder = stand_in(tmp_path, "torchvision", "0.28.0+rocm6.4", "==2.13.0")
    environment = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, *words], cwd=root, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "note: torchvision 0.28.0+rocm6.4" in done.stderr and "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def installed(root, tmp_path_factory) -> Path:
    """The folder into which a wheel of this checkout is installed, its packages apart."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "-q"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "-w", str(folder / "wheel")]
    subprocess.run([*pip, *build, str(root)], check=True)
    (wheel,) = (folder / "wheel").glob("apv_studio-*.whl")
    subprocess.run(
        [*pip, "install", "--no-deps", "--target", str(folder / "site"), str(wheel)], check=True
    )
    return folder / "site"


@pytest.mark.slow
def test_an_installed_wheel_works_from_another_folder(installed, tmp_path):
    """Its command makes a draft from the assets and the networks that it carries."""
    shipped = installed / "pipeline" / "shipped"
    environment = {**os.environ, "PYTHONPATH": str(installed), "APV_CACHE": str(tmp_path / "cache")}
    inputs = ["--reference", str(shipped / "assets" / "reference" / "half_jacket.png")]
    inputs += ["--audio", str(shipped / "assets" / "speech" / "accents_no.wav")]
    command = [str(installed / "bin" / "apv-studio"), "preview", *inputs, "--output", "out.mp4"]
    done = subprocess.run(
        [*command, "--json"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["frames"] > 0
    assert (tmp_path / "out.mp4").stat().st_size > 1000
    assert not (installed / "tests").exists() and not (installed / "assets").exists()


@pytest.mark.slow
def test_the_installed_command_starts_the_page(installed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [str(installed / "bin" / "apv-studio"), "app", "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "--port" in done.stdout


@pytest.mark.hub
def test_python_3_14_installs_from_wheels_on_four_platforms(capsys):
    pytest.importorskip("uv")
    assert check_wheels.main(["3.14"]) == 0
    table = capsys.readouterr().out
    assert "Windows x86-64" in table and "none" not in table
