"""Where the accounts of a graph are drawn: a force-directed layout, the same for the same graph.

Every pair repels, linked pairs attract with their weight, a weak pull to the middle keeps parts together. Dense
numpy: `n * n` per step, so callers keep to a few hundred nodes (`_svg.MAX_NODES`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["layout"]

Array = npt.NDArray[np.float64]

_STEPS = 320
_GRAVITY = 0.035
_SPACING_STEPS = 40


def layout(
    count: int, pairs: list[tuple[int, int]], weights: list[float], *, aspect: float = 1.6, spacing: float = 0.02
) -> Array:
    """`count` positions within 0..aspect by 0..1. No two are closer than about `spacing`."""
    if count == 0:
        return np.zeros((0, 2))
    matrix = np.zeros((count, count))
    for (a, b), weight in zip(pairs, weights, strict=True):
        if a != b:
            matrix[a, b] = matrix[b, a] = max(matrix[a, b], weight)
    position = _relax(_start(count), matrix)
    return _spread(_fit(_level(position), aspect), spacing, aspect)


def _start(count: int) -> Array:
    """A sunflower: even, without chance, and no two points alike."""
    place = np.arange(count, dtype=np.float64)
    angle = place * np.pi * (3.0 - np.sqrt(5.0))
    radius = np.sqrt((place + 0.5) / count)
    start: Array = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1) * np.sqrt(count) * 0.5
    return start


def _relax(position: Array, matrix: Array) -> Array:
    """Cooled steps along the forces: attraction weight * d, repulsion mass * mass / d."""
    count = len(position)
    degree: Array = matrix.sum(axis=1)
    pull = matrix / np.sqrt(np.maximum(np.outer(degree, degree), 1e-9))
    mass = 1.0 + np.sqrt(degree) * 0.15
    push = np.outer(mass, mass)
    np.fill_diagonal(push, 0.0)
    heat = np.sqrt(count) * 0.12
    for step in range(_STEPS):
        square = (position**2).sum(axis=1)
        distance = square[:, None] + square[None, :] - 2.0 * position @ position.T
        np.maximum(distance, 1e-3, out=distance)
        strength = push / distance * (4.0 / count) - pull * 0.9
        force = position * strength.sum(axis=1)[:, None] - strength @ position - _GRAVITY * position
        length = np.sqrt((force**2).sum(axis=1))[:, None]
        position = position + force / np.maximum(length, 1e-9) * np.minimum(length, heat * (1.0 - step / _STEPS))
    return position


def _level(position: Array) -> Array:
    """Turned so that the longest extent lies flat."""
    centred = position - position.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
    return np.asarray(centred @ axes[:, ::-1])


def _fit(position: Array, aspect: float) -> Array:
    low, high = position.min(axis=0), position.max(axis=0)
    extent = np.maximum(high - low, 1e-9)
    stretch = np.array([aspect, 1.0]) / extent
    # One direction may be stretched a little more than the other to fill the frame, not distorted.
    scale = np.minimum(stretch, stretch.min() * 1.5)
    middle = np.array([aspect, 1.0]) / 2.0
    return np.asarray((position - (low + high) / 2.0) * scale + middle)


def _spread(position: Array, spacing: float, aspect: float) -> Array:
    """Points that would cover each other are moved apart."""
    count = len(position)
    position = position + 1e-4 * _start(count) / np.sqrt(count)
    for _ in range(_SPACING_STEPS):
        delta = position[:, None, :] - position[None, :, :]
        distance = np.sqrt((delta**2).sum(axis=2))
        np.fill_diagonal(distance, np.inf)
        overlap = np.maximum(spacing - distance, 0.0)
        if not overlap.any():
            break
        move = delta * (overlap / np.maximum(distance, 1e-9))[:, :, None]
        position = position + 0.5 * move.sum(axis=1)
        position = np.clip(position, 0.0, [aspect, 1.0])
    return position
