"""Makes the pictures of docs/recording.md.

    python -m benchmarks.recording        docs/stages.gif: stages of training; docs/watch.png: the window, with its keys

It trains for some seconds. The window is drawn in memory only.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

import a2c
from a2c.commands.record import record_stages
from a2c.commands.watch import Watch
from a2c.window import Window

DOCS = Path(__file__).parent.parent / "docs"
AT = (0, 2_000, 8_000)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        run = a2c.train(
            "CartPole-v1", preset="none", seed=1, total_steps=50_000, learning_rate=2e-3, keep_policy_at=AT,
            eval_every_steps=0, final_eval_episodes=0, run_dir=folder,
        )  # fmt: skip
        for steps, recording in record_stages(run, DOCS / "stages.gif", seed=1, max_steps=250).items():
            print(f"after {steps:,} steps: return {recording.episode_return:g}")
        draw_window(run, DOCS / "watch.png")
    return 0


def draw_window(run: a2c.Run, path: Path) -> None:
    """Watches an episode, asks for help at its 60th picture, and keeps what the window shows then."""
    os.environ.update(SDL_VIDEODRIVER="dummy", DISPLAY=os.environ.get("DISPLAY", ":0"))
    shown, seen = [], Window.show

    def show(window: Window, picture: np.ndarray) -> None:
        import pygame
        from PIL import Image

        seen(window, picture)
        shown.append(1)
        surface = pygame.display.get_surface()
        if len(shown) == 61:
            Image.fromarray(pygame.surfarray.array3d(surface).swapaxes(0, 1)).quantize(64).save(path)
        keys = {30: [pygame.K_DOWN], 60: [pygame.K_h], 62: [pygame.K_q]}.get(len(shown), [])
        for key in keys:
            pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))

    Window.show = show
    try:
        Watch(str(run.path), episodes=1, which="final").run()
    finally:
        Window.show = seen


if __name__ == "__main__":
    raise SystemExit(main())
