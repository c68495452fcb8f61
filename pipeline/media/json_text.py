"""JSON that people hand in: parsed in any encoding, or what is wrong with it in plain words."""

from __future__ import annotations

import json
from typing import Any

from pipeline.values import InputError


def parse(content: bytes) -> Any:
    """Return what JSON in UTF-8, UTF-16 or UTF-32 says, with or without a byte order mark.

    The error names no file: it is the part of a sentence behind "it is not readable JSON".
    """
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at")
        raise InputError(f"{what} in line {error.lineno}, column {error.colno}") from error
    except UnicodeDecodeError as error:
        raise InputError("it is not text") from error
    except RecursionError as error:
        raise InputError("lists in lists go too deep") from error
    except ValueError as error:  # Python parses no number of over 4300 digits
        raise InputError("a number is too long") from error
