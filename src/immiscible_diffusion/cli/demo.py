"""`immiscible demo`: a page in the browser to see and touch what pairing does."""

from pathlib import Path
from typing import Annotated

import tyro


def demo(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional] = (),
    port: int | None = None,
    steps: int | None = None,
    out: Path = Path("runs/first-look"),
    browser: bool = False,
) -> None:
    """See and touch what pairing does: sample, perturb, denoise, edit, compare, on a page of this machine.

    The page is at 127.0.0.1 only and loads nothing from elsewhere. Without runs it offers to train some.

    Args:
        runs: Run folders, comparisons, or folders that hold some; by default all below runs/.
        port: Port of the page; the first free one from 7860 on by default.
        steps: Training steps of the two runs that the page offers to train; by default 1000.
        out: Folder of these two.
        browser: Open the page in the browser.
    """
    if missing := [str(run) for run in runs if not run.is_dir()]:
        raise FileNotFoundError(f"no folder {', '.join(missing)}; name one that a run or comparison wrote")
    if steps is not None and steps < 1:
        raise ValueError(f"--steps must be 1 or more, got {steps}")
    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f"--port must be from 1 to 65535, got {port}")
    try:
        from immiscible_diffusion.live_page import serve
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the page needs {error.name}, which is not installed: pip install 'immiscible-diffusion[pages]'"
        ) from error
    serve(runs or (Path("runs"),), out, port=port, steps=steps, browser=browser)
