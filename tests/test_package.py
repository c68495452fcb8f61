"""The public Python interface: what `from pipeline import ...` offers."""

import subprocess
import sys

import pytest

import pipeline


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
