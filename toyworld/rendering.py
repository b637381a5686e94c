"""Scenes to pixels."""

import random
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from toyworld.scenes import SIDE, Scene, Thing

_RGB = {
    "red": (214, 40, 40),
    "green": (30, 160, 60),
    "blue": (40, 80, 220),
    "yellow": (250, 210, 30),
    "purple": (140, 50, 170),
    "black": (40, 40, 40),
}
_LIGHT = np.array((250, 250, 245), np.float32)  # the second tone of a pattern
_OUTLINE = np.array((20, 20, 20), np.float32)
_SHARPNESS = 4  # sprites are drawn this much larger and reduced
_TILE = 2 * SIDE


def render(scene: Scene) -> NDArray[np.uint8]:
    """The picture of a scene, RGB of shape (SIDE, SIDE, 3); the same scene gives the same pixels."""
    rng = random.Random(scene.detail)
    tile = _texture(scene.place)
    top, left = rng.randrange(_TILE - SIDE), rng.randrange(_TILE - SIDE)
    canvas = tile[top : top + SIDE, left : left + SIDE].copy()
    for thing in scene.things:
        _draw(canvas, thing, rng)
    light = rng.uniform(0.85, 1.08)
    return np.clip(canvas * light, 0, 255).astype(np.uint8)


def _draw(canvas: NDArray[np.float32], thing: Thing, rng: random.Random) -> None:
    outer, inner = _sprite(thing.shape, thing.diameter, thing.angle)
    side = outer.shape[0]
    x, y = thing.x - side // 2, thing.y - side // 2
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + side, SIDE), min(y + side, SIDE)
    inside = slice(top - y, bottom - y), slice(left - x, right - x)
    shade = rng.uniform(-14, 14)
    color = np.array([channel + shade + rng.uniform(-8, 8) for channel in _RGB[thing.color]], np.float32)
    light = _pattern(thing.pattern, side, rng.randrange(3), rng.randrange(3))
    fill = color + light[..., None] * (_LIGHT - color)
    body = _OUTLINE + inner[..., None] * (fill - _OUTLINE)
    target = canvas[top:bottom, left:right]
    target += outer[inside][..., None] * (body[inside] - target)


@lru_cache(maxsize=4096)
def _sprite(shape: str, diameter: int, angle: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Coverage, 0 to 1, of the shape with and without its outline."""
    side = diameter + 4
    side += side % 2
    fine = side * _SHARPNESS
    at = (np.arange(fine, dtype=np.float32) + 0.5 - fine / 2) / (diameter * _SHARPNESS / 2)
    whole = _within(_outline(shape, angle), at)
    core = whole.copy()
    for axis in (0, 1):
        core &= np.all([np.roll(core, shift, axis) for shift in range(-_SHARPNESS, _SHARPNESS + 1)], axis=0)
    outer, inner = (
        mask.reshape(side, _SHARPNESS, side, _SHARPNESS).mean((1, 3), dtype=np.float32) for mask in (whole, core)
    )
    return outer, inner


def _within(corners: NDArray[np.float64], at: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which points of the grid ``at`` by ``at`` lie in the polygon: those whose ray crosses an odd number of edges."""
    row, column = at[:, None], at[None, :]
    odd = np.zeros((len(at), len(at)), bool)
    for (x, y), (next_x, next_y) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y != next_y:
            crossing = x + (row - y) * (next_x - x) / (next_y - y)
            odd ^= ((y > row) != (next_y > row)) & (column < crossing)
    return odd


def _outline(shape: str, angle: int) -> NDArray[np.float64]:
    """Corners, (n, 2), of a shape that touches the unit circle or its square, turned by an angle in degrees."""
    turn = np.deg2rad(angle)
    around = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    if shape == "ball":
        points = np.stack([np.cos(around), np.sin(around)], 1)
    elif shape == "box":
        points = 0.86 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    elif shape == "cone":
        points = np.array([(0, -1), (0.95, 0.9), (-0.95, 0.9)])
    elif shape == "star":
        corner = np.arange(10) * np.pi / 5 - np.pi / 2
        reach = np.where(np.arange(10) % 2 == 0, 1.1, 0.54)
        points = np.stack([reach * np.cos(corner), reach * np.sin(corner)], 1)
    elif shape == "fish":
        body = np.linspace(0.6, 2 * np.pi - 0.6, 40)
        tail = [(1.05, 0.8), (0.85, 0), (1.05, -0.8)]
        points = np.concatenate([np.stack([0.74 * np.cos(body) - 0.3, -0.68 * np.sin(body)], 1), tail])
    elif shape == "cross":
        a = 0.42
        points = np.array(
            [(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1), (-a, 1), (-a, a), (-1, a), (-1, -a), (-a, -a)]
        )
    else:
        raise ValueError(f"no such shape: {shape}")
    rotation = np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    return points @ rotation.T


@lru_cache(maxsize=4096)
def _pattern(pattern: str, side: int, phase: int, way: int) -> NDArray[np.float32]:
    """Where the second tone is, 0 to 1, shape (side, side)."""
    row, column = np.mgrid[0:side, 0:side].astype(np.float32) - (side - 1) / 2
    if pattern == "striped":
        along = (row, column, (row + column) * 0.72)[way]
        return ((along + phase) % 6 < 2.7).astype(np.float32)
    if pattern == "dotted":
        x, y = (column + phase) % 6 - 3, (row + way) % 6 - 3
        return np.clip(2.2 - np.hypot(x, y), 0, 1)
    if pattern == "checkered":
        return (((row + phase - 1) // 4 + (column + way - 1) // 4) % 2).astype(np.float32)
    raise ValueError(f"no such pattern: {pattern}")


@cache
def _texture(place: str) -> NDArray[np.float32]:
    """A large tile of a place, RGB of shape (2 * SIDE, 2 * SIDE, 3), from which pictures take their backgrounds."""
    rng = np.random.default_rng(sum(place.encode()))
    row, column = np.mgrid[0:_TILE, 0:_TILE].astype(np.float32)
    speck = rng.random((_TILE, _TILE))
    if place == "grass":
        blade = np.repeat(rng.random((_TILE // 4, _TILE)), 4, axis=0)
        return _mix(blade > 0.55, (96, 158, 72), (128, 186, 88))
    if place == "beach":
        return _mix(speck > 0.88, (236, 214, 160), (214, 186, 128))
    if place == "snow":
        return _mix(speck > 0.93, (240, 244, 250), (206, 220, 240))
    if place == "sea":
        wave = np.sin(row / 1.6 + 1.5 * np.sin(column / 6))
        return _mix(wave > 0.75, (60, 130, 180), (150, 200, 225))
    if place == "road":
        dash = (np.abs(row % 32 - 16) < 1.5) & (column % 16 < 9)
        return _mix(dash, (128, 128, 132), (225, 225, 220)) - 12 * (speck > 0.85)[..., None].astype(np.float32)
    raise ValueError(f"no such place: {place}")


def _mix(second: NDArray[np.bool_], one: tuple[int, int, int], other: tuple[int, int, int]) -> NDArray[np.float32]:
    return np.where(second[..., None], np.array(other, np.float32), np.array(one, np.float32)).astype(np.float32)
