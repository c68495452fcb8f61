"""Sentences for the user: how an option is called there, and what is said about a bug."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Mapping


def name_options(sentence: str, names: Mapping[str, str]) -> str:
    """Replace every `field` in backticks by its name in `names`; leave other words as they are.

    Line breaks and other control characters, which names of files may hold, become spaces.
    """

    def replacement(match: re.Match[str]) -> str:
        return names.get(match[1], match[0])

    named = re.sub(r"`(\w+)`", replacement, sentence)
    return re.sub(r"[\x00-\x1f\x7f]+", " ", named)


def describe_bug(error: Exception, log: str) -> str:
    """Return the sentence about an exception that is our fault; `log` says where the rest is."""
    first_line = str(error).partition("\n")[0]
    what = f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
    return f"internal error: {what}; please report it with {log}"


def quiet_libraries() -> None:
    """Silence what libraries print at import on machines without CUDA, and on damaged pictures."""
    warnings.filterwarnings("ignore", module=r"PIL\.")  # what is wrong is said in our own words
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    logging.getLogger("xformers").setLevel(logging.ERROR)
