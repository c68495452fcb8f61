"""The maps of single bones: a bone that goes from one place to another, and a plain affine map.

Places are complex numbers: x is real, y imaginary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pipeline.render.warp.geometry import apply

SHORTEST = 1e-4  # picture heights: a shorter bone has no direction


@dataclass(frozen=True)
class BoneMap:
    """The map of a bone: places that are complex (T,1) or (1,1), ratio (T,1)."""

    start: Tensor
    end: Tensor
    goal: Tensor
    goal_end: Tensor
    ratio: Tensor

    def places(self, nodes: Tensor) -> Tensor:
        """(T,n) from complex nodes (T,n) or (1,n)."""
        axis = axis_of(self.end - self.start)
        goal = axis_of(self.goal_end - self.goal)
        length = axis.abs()
        goal_length = goal.abs()
        turned = (nodes - self.start) * (axis.conj() / length)
        along = turned.real
        on = torch.minimum(along.clamp_min(0), length)
        past = (along - on) * self.ratio
        stretched = on * (goal_length / length) + past
        across = turned.imag * self.ratio
        direction = goal / goal_length
        return self.goal + torch.complex(stretched, across) * direction

    def slimmed(self, places: Tensor, share: Tensor) -> Tensor:
        """(T,n) complex places, drawn towards the line of the target's bone: shares (T,1) of their
        distances from it are left."""
        goal = axis_of(self.goal_end - self.goal)
        direction = goal / goal.abs()
        turned = (places - self.goal) * direction.conj()
        slim = torch.complex(turned.real, turned.imag * share)
        return self.goal + slim * direction

    @cached_property
    def stretch(self) -> Tensor:
        """(T,1) how much longer the bone gets than the body's size alone would make it."""
        length = axis_of(self.end - self.start).abs()
        goal_length = axis_of(self.goal_end - self.goal).abs()
        return goal_length / (length * self.ratio)

    @cached_property
    def turn(self) -> Tensor:
        """(T,1) radians."""
        axis = axis_of(self.end - self.start)
        goal = axis_of(self.goal_end - self.goal)
        return torch.angle(goal / axis)


@dataclass(frozen=True)
class LinearMap:
    """An affine map: matrix (T,2,3), and the angle (T,1) by which it turns."""

    matrix: Tensor

    def places(self, nodes: Tensor) -> Tensor:
        """(T,n) from complex nodes (T,n) or (1,n)."""
        points = torch.view_as_real(nodes)
        return as_complex(apply(self.matrix, points))

    @cached_property
    def turn(self) -> Tensor:
        """(T,1) radians."""
        first, second = self.matrix[:, :, :2].unbind(1)
        sin = second[:, 0] - first[:, 1]
        cos = second[:, 1] + first[:, 0]
        return torch.atan2(sin, cos)[:, None]


Map = BoneMap | LinearMap


def mix_polar(
    first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], share: Tensor, bend: Tensor
) -> Tensor:
    """Between two places (T,n), each with the place (T,1) of the joint, by a share (n,) of the
    second; the maps differ by a turn of `bend` (T,1)."""
    place, joint = first
    goal, goal_joint = second
    spoke = place - joint
    goal_spoke = goal - goal_joint
    angle = torch.angle(spoke)
    turn = torch.angle(goal_spoke) - angle
    turn = wrapped(turn - bend) + bend
    length = spoke.abs().clamp_min(SHORTEST)
    growth = goal_spoke.abs().clamp_min(SHORTEST) / length
    radius = length * growth**share
    center = joint + (goal_joint - joint) * share
    return center + torch.polar(radius, angle + turn * share)


def wrapped(angle: Tensor) -> Tensor:
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi


def as_complex(points: Tensor) -> Tensor:
    return torch.view_as_complex(points.contiguous())


def axis_of(axis: Tensor) -> Tensor:
    """The axis of a bone; one without length looks to the right."""
    return torch.where(axis.abs() < SHORTEST, axis.new_tensor(SHORTEST), axis)
