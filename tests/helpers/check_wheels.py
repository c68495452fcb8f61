"""Print whether wheels alone install requirements.txt on Python 3.14, on four platforms.

Usage: python tests/helpers/check_wheels.py [PYTHON_VERSION]

uv resolves for each platform; it needs the network. (pip cannot: its `--platform` takes tags word
by word, so that it misses wheels for an older glibc and falls back to torch 2.10.) The exit code is
1 where a platform has no solution.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements.txt"
PLATFORMS = {  # as the table calls them, and as uv does
    "Linux x86-64": "x86_64-manylinux_2_28",
    "Linux aarch64": "aarch64-manylinux_2_28",
    "macOS 14 arm64": "aarch64-apple-darwin",
    "Windows x86-64": "x86_64-pc-windows-msvc",
}
OLDEST_MACOS = "14.0"
NOT_NEEDED = "-"  # on that platform


def names_of(requirements: Path) -> list[str]:
    """Return the names of the packages that a requirements file lists."""
    names = []
    for line in requirements.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name = line.split("=")[0].split(">")[0].split(";")[0]
            names.append(name.strip().lower())
    return names


def resolve(version: str, platform: str) -> dict[str, str]:
    """Return the version of each package, dependencies too, that wheels give on a platform.

    Raise RuntimeError with uv's reason where there is no solution.
    """
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header"]
    command += ["--no-annotate", "--only-binary", ":all:", "--python-version", version]
    command += ["--python-platform", platform, str(REQUIREMENTS)]
    environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": OLDEST_MACOS}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    pairs = [line.split("==") for line in done.stdout.splitlines() if "==" in line]
    return {name: version.split(" ")[0] for name, version in pairs}


def main(arguments: list[str]) -> int:
    """Print the table; return the exit code."""
    version = arguments[0] if arguments else "3.14"
    found = {}
    for title, platform in PLATFORMS.items():
        try:
            found[title] = resolve(version, platform)
        except RuntimeError as error:
            print(f"Python {version} on {title}: {error}", file=sys.stderr)
    names = names_of(REQUIREMENTS)
    print(f"| wheels for Python {version} | {' | '.join(PLATFORMS)} |")
    print("|---" * (len(PLATFORMS) + 1) + "|")
    for name in names:
        versions = []
        for title in PLATFORMS:
            resolved = found.get(title)
            versions.append("none" if resolved is None else resolved.get(name, NOT_NEEDED))
        print(f"| {name} | {' | '.join(versions)} |")
    counts = [str(len(found[title])) if title in found else "none" for title in PLATFORMS]
    print(f"| all packages | {' | '.join(counts)} |")
    return int(len(found) < len(PLATFORMS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
