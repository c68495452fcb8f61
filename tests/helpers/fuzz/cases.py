"""Input number i of a seed: a command whose files and options are made from both numbers alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers.fuzz import bombs, key_points, model_folders, settings
from tests.helpers.fuzz.damage import DAMAGES, cut_off, zeroed_block
from tests.helpers.fuzz.originals import DRAWN, SIDE_PX, Originals, copied

ENDINGS = ("png", "jpg", "webp", "gif", "heic", "wav", "mp3", "mp4", "webm", "npz", "json", "txt")
DRAFT_SHARE = 0.1  # of the runs also write draft, overlay and pose: these read every frame again


@dataclass(frozen=True)
class Case:
    """A command to run.

    Attributes:
        kind: what was done to which input, for people.
        command: "preview", "generate" or "pose".
        options: by field name, as words on the command line; None leaves an option out.
        values: by field name, of any type; they go past the command line's parser, as from a page.
    """

    kind: str
    command: str
    options: Mapping[str, str | None]
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Workshop:
    """What cases are made from.

    Attributes:
        originals: valid files.
        model: a folder with a tiny model, for `generate`.
    """

    originals: Originals
    model: Path


def make_case(shop: Workshop, seed: int, index: int, folder: Path) -> Case:
    """Make input `index` of `seed`; its files go into `folder`."""
    rng = np.random.default_rng((seed, index))
    places = rng.choice(len(MAKERS), p=[share for _, share in MAKERS])
    make, _ = MAKERS[places]
    return make(rng, shop, folder)


def _usual(shop: Workshop, folder: Path) -> dict[str, str | None]:
    """Return the options of a run in which nothing is wrong."""
    return {
        "reference": str(shop.originals.named("photo.jpg")),
        "audio": str(shop.originals.named("speech.wav")),
        "output": str(folder / "out.mp4"),
        "height": str(SIDE_PX),
        "width": str(SIDE_PX),
    }


# ---- files


def _picture_case(rng: np.random.Generator, shop: Workshop, folder: Path) -> Case:
    kind, path = _bad_file(rng, shop, shop.originals.pictures, bombs.PICTURE_BOMBS, folder)
    changes: dict[str, str | None] = {"reference": str(path)}
    if rng.random() < 0.3:  # the picture's own aspect
        changes |= {"height": None, "width": str(SIDE_PX)}
    return _preview(rng, shop, folder, f"picture {kind}", changes)


def _sound_case(rng: np.random.Generator, shop: Workshop, folder: Path) -> Case:
    kind, path = _bad_file(rng, shop, shop.originals.sounds, bombs.SOUND_BOMBS, folder)
    return _preview(rng, shop, folder, f"sound {kind}", {"audio": str(path)})


def _video_case(rng: np.random.Generator, shop: Workshop, folder: Path) -> Case:
    kind, path = _bad_file(rng, shop, shop.originals.videos, bombs.VIDEO_BOMBS, folder)
    return _preview(rng, shop, folder, f"video {kind}", {"driving": str(path)})


def _pose_case(rng: np.random.Generator, shop: Workshop, folder: Path) -> Case:
    draw = rng.random()
    if draw < 0.45:
        path = key_points.write_arrays(rng, folder)
        kind = f"{path.name} of odd arrays"
    elif draw < 0.75:
        path = key_points.write_openpose(rng, folder)
        kind = f"{path.name} of odd values"
    elif draw < 0.8:
        path = key_points.nested_json(rng, folder)
        kind = "deep JSON"
    else:
        kind, path = _bad_file(rng, shop, shop.originals.poses, {}, folder)
    return _preview(rng, shop, folder, f"pose {kind}", {"driving": str(path)})


def _accents_case(rng: np.random.Generator, shop: Workshop, folder: Path) -> Case:
    draw = rng.random()
    if draw < 0.7:
        path = key_points.write_accents(rng, folder)
        kind = "of odd values"
    elif draw < 0.8:
        path = key_points.nested_json(rng, folder)
        kind = "deep JSON"
    else:
        kind, path = _bad_file(rng, shop, shop.originals.accents, {}, folder)
    return _preview(rng, shop, folder, f"accents {kind}", {"accents": str(path)})


def _preview(
    rng: np.random.Generator,
    shop: Workshop,
    folder: Path,
    kind: str,
    changes: Mapping[str, str | None],
) -> Case:
    """Return a preview of usual inputs with some changes, now and then with all outputs."""
    options = _usual(shop, folder) | dict(changes)
    if rng.random() < DRAFT_SHARE:
        options["draft"] = str(folder / "draft.mp4")
        options["overlay"] = str(folder / "overlay.mp4")
        options["pose_out"] = str(folder / "kept.npz")
        options["accents_out"] = str(folder / "kept.json")
    return Case(kind, "preview", options)


def _bad_file(
    rng: np.random.Generator,
    shop: Workshop,
    originals: tuple[Path, ...],
    claims: dict[str, bombs.Bomb],
    folder: Path,
) -> tuple[str, Path]:
    """Write a file that is not what it should be.

    Args:
        rng: decides how.
        shop: what other kinds of files are made from.
        originals: valid files of the kind.
        claims: files of the kind with absurd headers.
        folder: where it is written.
    """
    draw = rng.random()
    if draw < 0.12 and claims:
        name = str(rng.choice(sorted(claims)))
        return f"claims: {name}", bombs.write_bomb(claims, name, shop.originals, folder)
    original = originals[rng.integers(len(originals))]
    if draw < 0.2:
        return _odd_place(rng, original, folder)
    if draw < 0.26:
        name = str(rng.choice(sorted(bombs.OTHERS)))
        path = folder / f"{name}{original.suffix}"
        path.write_bytes(bombs.OTHERS[name](shop.originals))
        return f"is another kind: {path.name}", path
    if draw < 0.32:
        others = shop.originals.files
        other = others[rng.integers(len(others))]
        path = folder / f"{other.stem}{original.suffix}"
        path.write_bytes(other.read_bytes())
        return f"is another kind: {other.name} as {original.suffix}", path
    return _damaged(rng, original, folder)


def _damaged(rng: np.random.Generator, original: Path, folder: Path) -> tuple[str, Path]:
    """Write a damaged copy; of a folder of frames, one file or the numbering is damaged."""
    if original.is_dir():
        path = copied(original, folder)
        files = sorted(path.iterdir())
        target = files[rng.integers(len(files))]
        if rng.random() < 0.3:
            target.rename(target.with_name(settings.odd_name(rng, "png")))
            return f"{original.name}: one file has an odd name", path
        path = path / DRAWN if (path / DRAWN).exists() else path
    else:
        path = copied(original, folder)
        target = path
    data = target.read_bytes()
    words = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        damage = DAMAGES[rng.integers(len(DAMAGES))]
        if data:
            data = damage(rng, data)
            words.append(damage.__name__)
    target.write_bytes(data)
    if path.is_file() and rng.random() < 0.15:
        path = path.rename(path.with_suffix("." + str(rng.choice(ENDINGS))))
        words.append(f"as {path.suffix}")
    return f"{original.name}: {', '.join(words)}", path


def _odd_place(rng: np.random.Generator, original: Path, folder: Path) -> tuple[str, Path]:
    """Give a valid file an odd name, or name something that is no such file."""
    draw = int(rng.integers(6))
    if draw == 0:
        return "does not exist", folder / "missing" / original.name
    if draw == 1:
        empty = folder / f"empty{original.suffix}"
        empty.mkdir()
        return "is an empty folder", empty
    if draw == 2:
        return "is a device", Path(str(rng.choice(["/dev/null", "/dev/zero", "/dev/random"])))
    if draw == 3:
        link = folder / f"link{original.suffix}"
        link.symlink_to(link)
        return "is a link to itself", link
    path = copied(original, folder)
    renamed = path.with_name(settings.odd_name(rng, path.suffix.removeprefix(".")))
    path.rename(renamed)
    return f"has an odd name: {renamed.name!a}", renamed


# ---- models


def _model_case(rng: np.random.Generator, shop: Workshop, folder: Path) -> Case:
    """Return a run with a copy of the tiny model: its download broke off, or somebody edited it."""
    if rng.random() < 0.5:
        return edited_model_case(rng, shop, folder)
    model = folder / "model"
    shutil.copytree(shop.model, model)
    files = sorted(path for path in model.rglob("*") if path.is_file())
    path = files[rng.integers(len(files))]
    name = path.relative_to(model).as_posix()
    damages = (None, cut_off, zeroed_block)
    damage = damages[rng.integers(len(damages))]
    if damage is None:
        path.unlink()
        kind = f"model: {name} is missing"
    else:
        path.write_bytes(damage(rng, path.read_bytes()))
        kind = f"model: {name}: {damage.__name__}"
    options = _usual(shop, folder) | {"model": str(model)}
    return Case(kind, "generate" if rng.random() < 0.4 else "preview", options)


def edited_model_case(rng: np.random.Generator, shop: Workshop, folder: Path) -> Case:
    """Return a run with a copy of the tiny model that somebody edited by hand."""
    kind, model = model_folders.edited(rng, shop.model, folder)
    options = _usual(shop, folder) | {"model": str(model), "fps": "8"}
    return Case(f"model: {kind}", "generate", options)


# ---- options


def _settings_case(rng: np.random.Generator, shop: Workshop, folder: Path) -> Case:
    options = _usual(shop, folder)
    if rng.random() < 0.5:
        options["driving"] = str(shop.originals.named("pose.npz"))
    if rng.random() < 0.5:
        words = settings.odd_words(rng)
        return Case(f"settings typed: {_shown(words)}", "preview", options | words)
    values = settings.odd_values(rng)
    return Case(f"settings saved: {_shown(values)}", "preview", options, values)


def _outputs_case(rng: np.random.Generator, shop: Workshop, folder: Path) -> Case:
    outputs = settings.odd_outputs(rng, folder)
    if rng.random() < 0.1:
        outputs["output"] = str(copied(shop.originals.named("photo.jpg"), folder))
    options = _usual(shop, folder) | outputs
    if rng.random() < 0.5:
        options["driving"] = str(shop.originals.named("clip.mp4"))
    return Case(f"outputs: {_shown(outputs)}", "preview", options)


def _shown(values: Mapping[str, Any]) -> str:
    """Return what was chosen, in one short line."""
    words = (f"{name}={value!a:.40}" for name, value in values.items())
    return ", ".join(words)


# ---- other commands


def _pose_command_case(rng: np.random.Generator, shop: Workshop, folder: Path) -> Case:
    makers = (_picture_case, _video_case, _pose_case)
    inner = makers[rng.integers(len(makers))](rng, shop, folder)
    source = inner.options.get("driving") or inner.options["reference"]
    out = str(rng.choice(["out.npz", "out.json", "out.mp4", "out.webm", "frames", "out.txt"]))
    options: dict[str, str | None] = {"input": source, "output": str(folder / out)}
    edits = {
        "trim": ["0:0.3", "0.2:", ":", "9:", "nan:", "-1:1", "1:0", ":inf", "a:b", "1"],
        "speed": ["2", "0.5", "0.1", "10", "0", "nan"],
        "fps": ["25", "60", "1", "12.5", "inf"],
        "loop": ["30", "1", "0", "2.5"],
        "pingpong": ["30", "1", "-1"],
        "arms": [str(shop.originals.named("pose.npz")), str(shop.originals.named("clip.mp4"))],
    }
    for name, words in edits.items():
        if rng.random() < 0.3:
            options[name] = str(rng.choice(words))
    return Case(f"pose command: {inner.kind}", "pose", options)


def _generate_case(rng: np.random.Generator, shop: Workshop, folder: Path) -> Case:
    words = settings.generate_words(rng)
    options = _usual(shop, folder) | {"model": str(shop.model)} | words
    if rng.random() < 0.5:
        options["driving"] = str(shop.originals.named("pose.npz"))
    return Case(f"generate: {_shown(words)}", "generate", options)


Maker = Callable[[np.random.Generator, Workshop, Path], Case]
# How often each kind is made
MAKERS: tuple[tuple[Maker, float], ...] = (
    (_picture_case, 0.27),
    (_sound_case, 0.17),
    (_video_case, 0.2),
    (_pose_case, 0.12),
    (_accents_case, 0.04),
    (_model_case, 0.02),
    (_settings_case, 0.08),
    (_outputs_case, 0.03),
    (_pose_command_case, 0.05),
    (_generate_case, 0.02),
)
