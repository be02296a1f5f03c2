"""What a virtual Pi's camera sees when nobody puts anything else before it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 1920, 1080
_BARS = ["white", "yellow", "cyan", "green", "magenta", "red", "blue", "black"]
_LEVELS = {
    # blue, green, red
    "white": (235, 235, 235),
    "yellow": (20, 220, 220),
    "cyan": (220, 220, 20),
    "green": (20, 200, 20),
    "magenta": (220, 20, 220),
    "red": (20, 20, 220),
    "blue": (220, 20, 20),
    "black": (20, 20, 20),
}


def write(folder: Path) -> None:
    """Write a JPEG of eight named colour bars, 1920x1080, into the folder."""
    bars = np.array([[_LEVELS[name] for name in _BARS]], np.uint8)
    card = cv2.resize(bars, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    step = WIDTH // len(_BARS)
    for number, name in enumerate(_BARS):
        place = (number * step + 20, HEIGHT // 2)
        ink = (0, 0, 0) if sum(_LEVELS[name]) > 300 else (255, 255, 255)
        cv2.putText(card, name, place, cv2.FONT_HERSHEY_SIMPLEX, 1.5, ink, 3, cv2.LINE_AA)
    if not cv2.imwrite(str(folder / "test-card.jpg"), card):
        raise OSError(f"cannot write {folder / 'test-card.jpg'}")
