"""The app on a ZeroGPU Space, which is told by a `spaces` package that comes before torch."""

import subprocess
import sys

SPACES = """
import sys
assert "torch" not in sys.modules, "torch was imported before spaces"
def GPU(duration):
    return lambda handler: handler
print("spaces is there")
"""


def test_spaces_is_imported_before_torch(root, tmp_path):
    (tmp_path / "spaces.py").write_text(SPACES)
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import app
from pipeline.studio.app import zerogpu
assert zerogpu.spaces is not None
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0 and "spaces is there" in done.stdout, done.stderr
