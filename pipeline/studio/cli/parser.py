"""What the command line understands: the options of every command; `__main__` carries them out."""

from __future__ import annotations

import argparse

from pipeline.values import InputError

DESCRIPTION = (
    "The command line: `python -m pipeline generate|preview|pose|models|train|evaluate|bench`."
)
TRAINERS = {
    "audio2pose": "train_audio2pose",
    "video": "train_video",
    "release": "release",
    "sync": "train_sync",
}


class Parser(argparse.ArgumentParser):
    """Argument errors as one sentence, without the usage block."""

    def error(self, message: str) -> None:
        raise InputError(f"{message}; see `{self.prog} --help`")


def number(low: float, high: float, kind: type = float):
    """An argparse type: a finite number of `kind` from `low` to `high`."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            word = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {word}") from None
        if not low <= value <= high:  # true for NaN, too
            raise argparse.ArgumentTypeError(f"{text} lies outside {low:g} to {high:g}")
        return value

    return parse


def add_inputs(parser: Parser) -> None:
    """Options that `generate` and `preview` share."""
    add = parser.add_argument
    add("--reference", required=True, metavar="IMG", help="picture of the person")
    add(
        "--audio",
        required=True,
        metavar="WAV",
        help="speech, up to 10 minutes, any format FFmpeg reads",
    )
    add(
        "--driving",
        metavar="VIDEO|POSE",
        help="gestures: video, .npz, OpenPose JSON; none = pose-free",
    )
    add("--model", default="mini", metavar="mini|controlnext-svd|FOLDER")
    add("--audio2pose", default="own", choices=("own", "aniportrait"), help="what moves the mouth")
    add(
        "--intensity",
        type=number(0, 2),
        default=1.0,
        help="gesture size tied to the speech, 0 = as driven",
    )
    add("--size", type=number(-0.5, 0.5), default=0.0, help="overall gesture size, in octaves")
    for region in ("arms", "head", "torso", "hands"):
        add(f"--{region}-intensity", type=number(0, 2), default=1.0, help="factor on --intensity")
    add(
        "--accents",
        metavar="FILE.json",
        help='list of {"time": s, "strength": 0 to 1} instead of detection',
    )
    add("--accents-out", metavar="FILE.json", help="write the detected accents")
    add("--mouth", type=number(0, 2), default=1.0, help="mouth amplitude, 1 = as predicted")
    add(
        "--audio-offset",
        type=number(-1000, 1000),
        default=0.0,
        help="ms: mouth later (+) or earlier (-)",
    )
    add("--fps", type=number(1, 60), default=25.0)
    add("--height", type=number(64, 2048, int))
    add("--width", type=number(64, 2048, int))
    add("--seed", type=number(0, 2**63 - 1, int), default=0)
    add("--detector", default="holistic", choices=("holistic", "dwpose", "openpose"))
    add("--fda", default="rigid", choices=("paper", "rigid"), help="face box of the alignment")
    add("--splice", choices=("face", "lips"), help="default: what suits the model")
    add("--refocus", choices=("amplify", "gate", "both"), help="default: what suits the model")
    add(
        "--pose-free",
        default="prior",
        choices=("prior", "network"),
        help="gestures without --driving",
    )
    moves = "without --driving; default: full where an arm is seen, else head"
    add("--gestures", choices=("still", "head", "full"), help=moves)
    add("--length", default="pingpong", choices=("pingpong", "loop", "trim", "hold"))
    add(
        "--retarget",
        default="bones",
        choices=("bones", "similar", "published"),
        help="body to body",
    )
    add(
        "--framing",
        default="reference",
        choices=("reference", "driving"),
        help="whose camera is followed",
    )
    add(
        "--person",
        metavar="N|x,y",
        help="who drives: a number from 1, or a point in the first frame",
    )
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--attention", default="auto", choices=("auto", "xformers", "sdpa"))
    add("--json", action="store_true", help="print one JSON object last on stdout")


def build_parser() -> Parser:
    parser = Parser(prog="python -m pipeline", description=DESCRIPTION)
    parser.add_argument("--verbose", action="store_true", help="log what each stage does")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Parser)
    generate = commands.add_parser("generate", help="reference + speech (+ driving video) -> video")
    add_inputs(generate)
    generate.add_argument("--output", required=True, metavar="OUT.mp4")
    generate.add_argument("--steps", type=number(1, 100, int), help="default: what suits the model")
    generate.add_argument(
        "--audio-guidance", type=number(0, 4), default=1.0, help="1 = no extra cost"
    )
    generate.add_argument(
        "--pose-guidance", type=number(0, 4), default=1.0, help="1 = no extra cost"
    )
    generate.add_argument("--window", type=number(2, 128, int))
    generate.add_argument("--overlap", type=number(0, 64, int))
    add_sampling(generate)
    generate.add_argument(
        "--skeleton", metavar="SKEL.mp4", help="also write the skeleton that was rendered"
    )
    preview = commands.add_parser("preview", help="the skeleton, and a draft, without the denoiser")
    add_inputs(preview)
    preview.add_argument("--output", required=True, metavar="SKEL.mp4")
    preview.add_argument(
        "--draft", metavar="DRAFT.mp4", help="also write the warped reference image"
    )
    preview.add_argument(
        "--overlay", metavar="OVERLAY.mp4", help="also write the skeleton over the picture"
    )
    preview.add_argument("--pose-out", metavar="POSE.npz", help="also write the pose that is drawn")
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
    train.add_argument("what", choices=tuple(TRAINERS))
    commands.add_parser("evaluate", help="metrics", add_help=False).add_argument("what", nargs="?")
    commands.add_parser("bench", help="speed and memory on this machine", add_help=False)
    return parser


def add_sampling(parser: Parser) -> None:
    """Options of `generate` for large models: guidance and conditions, where and how the networks run."""
    add = parser.add_argument
    add(
        "--windows",
        default="joint",
        choices=("joint", "published"),
        help="published: ControlNeXt's own loop",
    )
    add(
        "--guidance",
        type=number(0, 20),
        help="1 = none, twice as fast; default: what suits the model",
    )
    add(
        "--guidance-end",
        type=number(0, 20),
        help="guidance at a window's last frame; default: --guidance",
    )
    add("--control", type=number(0, 5), help="strength of the pose, 1 = as trained")
    add("--noise-aug", type=number(0, 1), help="noise on the reference image, 0.02 = as trained")
    add("--motion-bucket", type=number(1, 255), help="SVD's amount of motion")
    add("--condition-fps", type=number(1, 60), help="SVD's frame rate condition; 7 = as trained")
    add("--dtype", default="auto", choices=("auto", "float32", "float16", "bfloat16"))
    add(
        "--offload",
        default="auto",
        choices=("auto", "none", "model", "group"),
        help="weights in main memory",
    )
    add(
        "--compile",
        action="store_const",
        const="on",
        default="off",
        help="compile the denoiser: slow start",
    )
    add("--channels-last", action="store_const", const="channels-last", default="contiguous")


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
        "--loop", type=number(1, 108000, int), metavar="FRAMES", help="again and again"
    )
    length.add_argument(
        "--pingpong", type=number(1, 108000, int), metavar="FRAMES", help="back and forth"
    )
    add(
        "--style",
        default="controlnext",
        choices=("controlnext", "openpose", "preview"),
        help="of .mp4",
    )
    add("--json", action="store_true")
