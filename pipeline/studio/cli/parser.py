"""What the command line understands: the options of every command; `__main__` carries them out."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from pipeline import InputError
from pipeline.studio.messages import name_options
from pipeline.studio.option_rows import Option, options_of
from pipeline.studio.request import FLAGS, TABLES

DESCRIPTION = (
    "The command line: `python -m pipeline generate|preview|pose|models|train|evaluate|bench|app`."
)
MAX_MESSAGE = 300  # letters
TRAINERS = {
    "audio2pose": "train_audio2pose",
    "video": "train_video",
    "apv-gen": "train_apv_gen",
    "data": "train_data",
    "data-stats": "train_data_stats",
    "release": "release",
    "sync": "train_sync",
    "mouth-reader": "train_mouth_reader",
}


class Parser(argparse.ArgumentParser):
    """Raise argument errors as one sentence, without the usage block."""

    def error(self, message: str) -> NoReturn:
        """Raise the message as the user's fault, without the middle of a word that fills pages."""
        if len(message) > MAX_MESSAGE:
            half = MAX_MESSAGE // 2
            start = message[:half]
            end = message[-half:]
            message = f"{start}...{end}"
        raise InputError(f"{message}; see `{self.prog} --help`")


def number(low: float, high: float, whole: bool = False) -> Callable[[str], float]:
    """Return an argparse type: a finite number from `low` to `high`."""

    def parse(text: str) -> float:
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            word = "a whole number" if whole else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {word}") from None
        if not low <= value <= high:  # true for NaN, too
            raise argparse.ArgumentTypeError(f"{text} lies outside {low:g} to {high:g}")
        return value

    return parse


def add_options(parser: Parser, command: str) -> None:
    """Add the flags of `generate` or `preview` from the table of options."""
    for table in TABLES:
        for option in options_of(table):
            if command in option.commands:
                add_option(parser, option)
    parser.add_argument("--json", action="store_true", help="print one JSON object last on stdout")


def add_option(parser: Parser, option: Option) -> None:
    """Add the flag of one option."""
    settings: dict[str, Any] = {"dest": option.name, "help": name_options(option.help, FLAGS)}
    if option.required:
        settings["required"] = True
    else:
        settings["default"] = option.default
    if option.switch is not None:
        parser.add_argument(option.flag, action="store_const", const=option.switch, **settings)
        return
    if option.choices:
        settings["choices"] = option.choices
    else:
        settings["metavar"] = option.metavar or option.typed_name.upper()
    if option.low is not None and option.high is not None:
        settings["type"] = number(option.low, option.high, option.whole)
    parser.add_argument(option.flag, **settings)


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(prog="python -m pipeline", description=DESCRIPTION)
    parser.add_argument("--verbose", action="store_true", help="log what each stage does")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Parser)
    generate = commands.add_parser("generate", help="reference + speech (+ driving video) -> video")
    add_options(generate, "generate")
    preview = commands.add_parser("preview", help="the skeleton, and a draft, without the denoiser")
    add_options(preview, "preview")
    add_pose(
        commands.add_parser("pose", help="key points of a video, picture or pose file, edited")
    )
    models = commands.add_parser("models", help="model sets: what, size, licence, where, installed")
    models.add_argument(
        "--download", metavar="NAME", help="fetch what it lacks; HF_TOKEN for gated sets"
    )
    models.add_argument(
        "--repository", metavar="OWNER/NAME", help="instead of the set's own, of the same files"
    )
    models.add_argument("--json", action="store_true")
    train = commands.add_parser("train", help="train an embedded model", add_help=False)
    train.add_argument("what", nargs="?", choices=tuple(TRAINERS))
    commands.add_parser("evaluate", help="metrics", add_help=False).add_argument("what", nargs="?")
    commands.add_parser("bench", help="speed and memory on this machine", add_help=False)
    commands.add_parser("app", help="the browser demo", add_help=False)
    return parser


def add_pose(parser: Parser) -> None:
    """Options of `pose`."""
    add = parser.add_argument
    add("input", metavar="VIDEO|IMG|POSE")
    add(
        "--output",
        required=True,
        metavar="OUT",
        help=".npz, .json, .mp4, or a folder for OpenPose's files",
    )
    add("--detector", default="holistic", choices=("holistic", "dwpose", "openpose"))
    add("--fps", type=number(1, 60), help="default: the file's own")
    add("--trim", default=":", metavar="A:B", help="seconds to keep; either may be left out")
    add("--speed", type=number(0.1, 10), default=1.0, help="2 = twice as fast")
    add("--mirror", action="store_const", const="on", default="off", help="swap left and right")
    add("--arms", metavar="OTHER", help="take arms and hands from another video or pose file")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--loop", type=number(1, 108000, whole=True), metavar="FRAMES", help="again and again"
    )
    length.add_argument(
        "--pingpong", type=number(1, 108000, whole=True), metavar="FRAMES", help="back and forth"
    )
    add(
        "--style",
        default="controlnext",
        choices=("controlnext", "openpose", "preview"),
        help="of .mp4",
    )
    add("--json", action="store_true")
