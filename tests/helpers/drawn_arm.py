"""A drawn arm of two bones and a hand, cut into the pieces that the renderer moves."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.motion.keypoints import R_ELBOW, R_SHOULDER, R_WRIST
from pipeline.render.warp.geometry import Skeleton
from pipeline.render.warp.skinning import LimbMotion, Piece
from pipeline.render.warp.splatting import draw_piece

SIZE = (384, 256)
ASPECT = SIZE[1] / SIZE[0]
WIDTH = 0.032  # half of the arm's, in picture heights
REACH = 0.055  # of a joint's blending
SHOULDER, ELBOW, WRIST = (0.33, 0.28), (0.33, 0.5), (0.33, 0.7)
HAND = 0.09  # length


def posed(*arms: tuple[tuple[float, float], ...]) -> Skeleton:
    """Poses (T) of a right arm: shoulder, elbow and wrist, metric; the rest of the body stays."""
    body = torch.zeros(len(arms), 18, 2)
    body[:, [R_SHOULDER, R_ELBOW, R_WRIST]] = torch.tensor(arms)
    seen = torch.zeros(len(arms), 18, dtype=torch.bool)
    seen[:, [R_SHOULDER, R_ELBOW, R_WRIST]] = True
    no = seen[:, :1]
    return Skeleton(
        body,
        torch.zeros(len(arms), 2, 21, 2),
        torch.zeros(len(arms), 68, 2),
        seen,
        no.expand(-1, 2),
        no.expand(-1, 68),
        no[:, None].expand(-1, 2, 21),
        no.expand(-1, 18),
    )


def turned(upper: float, fore: float) -> tuple[tuple[float, float], ...]:
    """Shoulder, elbow and wrist of an arm whose bones are turned by radians from the rest."""
    shoulder = torch.tensor(SHOULDER)
    down = torch.tensor([[0.0, ELBOW[1] - SHOULDER[1]], [0.0, WRIST[1] - ELBOW[1]]])
    points = [shoulder]
    for angle, bone in zip((upper, upper + fore), down, strict=True):
        cos, sin = torch.tensor(angle).cos(), torch.tensor(angle).sin()
        points.append(points[-1] + torch.stack([-sin * bone[1], cos * bone[1]]))
    return tuple(tuple(p.tolist()) for p in points)


def motion(target: Skeleton, ratio: float = 1.0) -> LimbMotion:
    """The motion from the arm at rest to a target, with a torso that keeps still."""
    frames = len(target.body)
    still = torch.eye(2, 3).expand(frames, -1, -1)
    return LimbMotion(posed((SHOULDER, ELBOW, WRIST)), target, still, torch.full((frames,), ratio))


def pixel_places(size: tuple[int, int] = SIZE) -> Tensor:
    """(H,W,2) metric."""
    y, x = torch.meshgrid(*(torch.arange(side) for side in size), indexing="ij")
    return (torch.stack([x, y], -1) + 0.5) / size[0]


def painted(size: tuple[int, int] = SIZE) -> Tensor:
    """(4,H,W) the arm at rest: color of smooth waves, and its alpha."""
    places = pixel_places(size)
    x, y = places.unbind(-1)
    past = y - y.clamp(SHOULDER[1], WRIST[1] + HAND)
    distance = ((x - SHOULDER[0]).square() + past.square()).sqrt()
    alpha = (0.5 + (WIDTH - distance) * size[0] / 2).clamp(0, 1)
    waves = [(1 + (x * a + y * b).sin()) / 2 for a, b in ((90, 40), (0, 70), (-60, 50))]
    return torch.stack([*waves, alpha])


def pieces(size: tuple[int, int] = SIZE, step: int = 2) -> list[Piece]:
    """Upper arm, forearm and hand, overlapping around elbow and wrist."""
    color, alpha = painted(size).split([3, 1])
    layer = torch.cat([color * alpha, alpha, alpha])
    ends = ((-1.0, ELBOW[1]), (ELBOW[1], WRIST[1]), (WRIST[1], 2.0))
    found = []
    for bone, (top, bottom) in enumerate(ends):
        y = pixel_places(size)[..., 1]
        lap = 0.3 * REACH
        own = ((y > top - lap) & (y < bottom + lap)).float()
        found.append(_piece(bone, layer * own, size, step, (top, bottom)))
    return found


def _piece(
    bone: int, layer: Tensor, size: tuple[int, int], step: int, ends: tuple[float, float]
) -> Piece:
    places = pixel_places(size)[::step, ::step]
    zone = F.max_pool2d(layer[None, 3:4], 2 * step + 1, 1, step)[0, 0, ::step, ::step] > 0
    nodes = places[zone]
    rise = ((nodes[:, 1] - ends[0]) / REACH + 0.5).clamp(0, 1)
    fall = ((nodes[:, 1] - ends[1]) / REACH + 0.5).clamp(0, 1)
    window = (0.0, 0.0, 1.0, size[1] / size[0])
    none = torch.zeros(len(nodes))
    before = rise if bone else torch.ones(len(nodes))
    return Piece(0, bone, window, layer[None], nodes, step / size[0], before, fall, none)


def drawn(
    target: Skeleton, parts: list[Piece], size: tuple[int, int] = SIZE, ratio: float = 1.0
) -> Tensor:
    """(T,4,H,W): the arm in poses, over nothing."""
    moves = motion(target, ratio)
    picture = torch.zeros(len(target.body), 4, *size)
    on = torch.ones(len(target.body), dtype=torch.bool)
    for part in parts:
        draw_piece(picture, part, moves.place(part), on, size[1] / size[0])
    return picture
