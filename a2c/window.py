"""A window that shows pictures and reads keys, and the meaning of the keys of `a2c watch`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from a2c.errors import UserError
from a2c.pictures import Picture

HELP = [
    ("space", "pause, continue"),
    ("right", "one step"),
    ("up, down", "faster, slower"),
    ("R", "this episode again"),
    ("N", "next episode"),
    ("H", "these keys"),
    ("Q, escape", "end"),
]
"""What each key does."""

_SLOWEST, _FASTEST = 1 / 64, 64.0
_SHARE = 0.9
"""The largest share of the screen."""


class Controls:
    """The watcher's wishes, from the keys pressed so far.

    Attributes:
        speed: Speed as a multiple of the environment's own.
        is_paused: Whether the episode is paused.
        shows_help: Whether the keys are explained.
        wants_step: Whether to take one step in a pause.
        wants_again: Whether to begin the episode again.
        wants_next: Whether to leave the episode for the next one.
        wants_end: Whether to close the window.
    """

    def __init__(self) -> None:
        self.speed, self.is_paused, self.shows_help = 1.0, False, False
        self.wants_step = self.wants_again = self.wants_next = self.wants_end = False

    @property
    def leaves(self) -> bool:
        """Whether to leave the current episode."""
        return self.wants_again or self.wants_next or self.wants_end

    def begin(self) -> None:
        """Clears the wishes for the last episode, as the next one begins."""
        self.wants_step = self.wants_again = self.wants_next = False

    def press(self, key: str) -> None:
        """Handles a key, by pygame's name; other keys do nothing."""
        match key:
            case "space" | "p":
                self.is_paused = not self.is_paused
            case "right" | ".":
                self.is_paused = self.wants_step = True
            case "up" | "+" | "=" | "[+]":
                self.speed = min(_FASTEST, self.speed * 2)
            case "down" | "-" | "[-]":
                self.speed = max(_SLOWEST, self.speed / 2)
            case "r" | "backspace":
                self.wants_again = True
            case "n" | "return":
                self.wants_next = True
            case "h" | "f1" | "?" | "/":
                self.shows_help = not self.shows_help
            case "q" | "escape" | "close":
                self.wants_end = True

    def in_words(self) -> str:
        """Speed and pause as text; "" at normal speed without a pause."""
        speed = "" if self.speed == 1 else f"{self.speed:g}x" if self.speed > 1 else f"1/{1 / self.speed:g}x"
        return ", ".join(part for part in (speed, "paused" if self.is_paused else "") if part)


@contextlib.contextmanager
def screen() -> Iterator[None]:
    """Initialises the display; closes its windows at the end.

    Raises:
        UserError: There is no display, or pygame is not installed.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "hide")
    try:
        import pygame  # Not at the top: slow to import.
    except ImportError as error:
        raise UserError("watching needs pygame, which is not installed; pip install pygame") from error
    try:
        pygame.display.init()
    except pygame.error as error:
        raise UserError(f"cannot open a window: {error}") from error
    try:
        yield
    finally:
        pygame.display.quit()


class Window:
    """A resizable window; pictures are scaled to fit it."""

    def __init__(self, title: str, height: int, width: int) -> None:
        """Opens the window; to be called inside `screen`.

        Args:
            title: The window's title.
            height: Height of the pictures in pixels.
            width: Width of the pictures in pixels.

        Raises:
            UserError: It cannot be opened.
        """
        import pygame

        self._pygame: Any = pygame
        self._title = title
        try:
            desktop = pygame.display.Info()
            most = _SHARE * desktop.current_w, _SHARE * desktop.current_h
            scale = min(1.0, *(limit / size for limit, size in zip(most, (width, height), strict=True) if limit > 0))
            self._size = max(1, round(width * scale)), max(1, round(height * scale))
            self._open()
        except pygame.error as error:
            raise UserError(f"cannot open a window: {error}") from error

    def _open(self) -> Any:
        """The window's surface, opened again if an environment has closed the display."""
        display = self._pygame.display
        surface = display.get_surface() if display.get_init() else None
        if surface is None:
            display.init()
            surface = display.set_mode(self._size, self._pygame.RESIZABLE)
            display.set_caption(self._title)
        return surface

    def show(self, picture: Picture) -> None:
        """Shows a picture in the middle of the window, as large as fits."""
        surface, pygame = self._open(), self._pygame
        self._size = width, height = surface.get_size()
        scale = min(width / picture.shape[1], height / picture.shape[0])
        size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
        image = pygame.image.frombuffer(np.ascontiguousarray(picture).tobytes(), picture.shape[1::-1], "RGB")
        if size != image.get_size():
            image = pygame.transform.smoothscale(image, size)
        surface.fill((0, 0, 0))
        surface.blit(image, ((width - size[0]) // 2, (height - size[1]) // 2))
        pygame.display.flip()

    def keys(self) -> list[str]:
        """The names of the keys pressed since the last call; "close" if the window was closed."""
        self._open()
        pygame, names = self._pygame, []
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                names.append("close")
            elif event.type == pygame.KEYDOWN:
                names.append(pygame.key.name(event.key))
            elif event.type in (pygame.WINDOWEXPOSED, pygame.VIDEORESIZE):
                names.append("drawn")  # Not a key; the caller redraws after any name.
        return names
