"""Episodes as GIFs, and side by side on one sheet (as the paper's Fig. 7)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from immiscible_diffusion.policy.rollouts import Episode

FRAMES_PER_SECOND = 10  # of the simulator's control
MARGIN = 16  # pixels above a row, for its title


def save_gif(episode: Episode, path: Path) -> Path:
    """Write an episode's frames as a GIF at the simulator's pace, making the folder where there is none."""
    if episode.frames is None:
        raise ValueError("the episode has no frames; run it with frame_side")
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = (Image.fromarray(frame) for frame in episode.frames)
    first.save(path, save_all=True, append_images=rest, duration=1000 // FRAMES_PER_SECOND, loop=0)
    return path


def contact_sheet(episodes: Mapping[str, Episode], side: int = 128, columns: int = 8) -> Image.Image:
    """Lay episodes out as titled rows of `columns` frames of `side` pixels, evenly spaced in time.

    All rows are spaced alike, by the longest episode; one that ended sooner repeats its last frame.
    """
    frames = [one.frames for one in episodes.values() if one.frames is not None]
    if not episodes or len(frames) < len(episodes):
        raise ValueError("a sheet needs one episode or more, all with frames; run them with frame_side")
    longest = max(len(one) for one in frames)
    times = np.linspace(0, longest - 1, columns).round().astype(int)
    sheet = Image.new("RGB", (columns * (side + 2), len(episodes) * (side + MARGIN + 2)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (title, episode) in enumerate(episodes.items()):
        top = row * (side + MARGIN + 2)
        words = f"{title}: score {episode.score:.2f}, {len(episode.actions)} steps"
        draw.text((2, top + 2), words, fill="black")
        for column, time in enumerate(times):
            frame = frames[row][min(time, len(frames[row]) - 1)]
            drawn = Image.fromarray(frame).resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(drawn, (column * (side + 2), top + MARGIN))
    return sheet
