"""ICC profiles for tests, written by hand from the ICC's specification (ICC.1:2001-04)."""

import struct

import numpy as np

# Columns of red, green, blue: XYZ of the primaries under D50
DISPLAY_P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
D50 = (0.9642, 1.0, 0.8249)


def display_p3(gamma: float = 2.2) -> bytes:
    """Return a profile of a wide-gamut screen."""
    tags = {
        name: _xyz(primary)
        for name, primary in zip((b"rXYZ", b"gXYZ", b"bXYZ"), DISPLAY_P3, strict=True)
    }
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _gamma(gamma))
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def gray(gamma: float) -> bytes:
    """Return a profile of gray pictures with a tone curve of its own."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _gamma(gamma)})


def cmyk(lightest: int = 255) -> bytes:
    """Return a profile of a printer whose inks all are black; paper has the lightness `lightest`.

    Its table has two steps an ink: no ink gives paper, each amount of any ink gives L = 0.
    """
    table = np.zeros((16, 3), np.uint8)
    table[:, 1:] = 128  # no color
    table[0, 0] = lightest
    line = bytes(range(256))
    identity = (1, 0, 0, 0, 1, 0, 0, 0, 1)
    matrix = b"".join(struct.pack(">i", value << 16) for value in identity)
    head = b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
    lookup = head + matrix + 4 * line + table.tobytes() + 3 * line
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lookup})


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {b"desc": _description("hand-made"), b"wtpt": _xyz(D50)} | tags
    index = struct.pack(">I", len(tags))
    offset = 128 + 4 + 12 * len(tags)
    body = b""
    for name, value in tags.items():
        index += name + struct.pack(">II", offset + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    white = b"".join(struct.pack(">i", round(value * 65536)) for value in D50)
    header = bytes(8) + b"\x02\x40\x00\x00" + kind + space + connection + bytes(12) + b"acsp"
    header = header.ljust(68, b"\0") + white
    whole = header.ljust(128, b"\0") + index + body
    return struct.pack(">I", len(whole)) + whole[4:]


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def _gamma(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))


def _description(text: str) -> bytes:
    plain = text.encode() + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(plain)) + plain + bytes(78)
