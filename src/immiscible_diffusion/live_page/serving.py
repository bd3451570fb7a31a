"""Serve the page to this machine alone: no telemetry, nothing from elsewhere, limits on what may be asked."""

import os

# Read when gradio is first imported.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import contextlib
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image
from starlette.middleware import Middleware

from immiscible_diffusion.live_page.found_runs import Library
from immiscible_diffusion.live_page.guards import HOSTS, Guard
from immiscible_diffusion.live_page.page import build_page
from immiscible_diffusion.live_page.shown import STYLE
from immiscible_diffusion.live_page.training_job import TrainingJob

LARGEST_UPLOAD = "8mb"
MOST_PIXELS = 4_000_000  # of an uploaded image; pillow refuses twice as many before it decodes them
MOST_WAITING = 32
AT_ONCE = 2  # requests of one kind
FONTS = ("system-ui", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")


def serve(
    folders: Sequence[Path],
    trained_into: Path,
    *,
    port: int | None = None,
    steps: int | None = None,
    browser: bool = False,
) -> None:
    """Serve the page on 127.0.0.1 until Ctrl-C or SIGTERM.

    folders: where to look for runs. trained_into: folder of the training that the page offers, of `steps`
    steps. port: the first free one from 7860 on where not given. browser: open one.
    Raises OSError where the port is taken.
    """
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    job = TrainingJob(trained_into, steps)
    page = build_page(Library(_outermost([*folders, trained_into])), job)
    page.queue(max_size=MOST_WAITING, default_concurrency_limit=AT_ONCE)
    try:
        _, address, _ = page.launch(
            server_name=HOSTS[0],
            server_port=port,
            inbrowser=browser,
            share=False,
            quiet=True,
            show_error=True,
            prevent_thread_lock=True,
            max_file_size=LARGEST_UPLOAD,
            footer_links=[],
            enable_monitoring=False,
            ssr_mode=False,
            theme=_theme(),
            css=STYLE,
            app_kwargs={"middleware": [Middleware(Guard)]},
        )
        print(f"Page: {address} (Ctrl-C ends it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            # Stopped by another program as by a person, also where a shell began it in the background.
            for stop in (signal.SIGINT, signal.SIGTERM):
                signal.signal(stop, signal.default_int_handler)
            threading.Event().wait()
    finally:
        job.close()
        page.close(verbose=False)


def _theme() -> Any:
    """Gradio's own look with fonts that are here, and orange dark enough to read."""
    plain = gr.themes.Default(font=FONTS, font_mono=("ui-monospace", "monospace"))
    fills = {
        f"button_primary_background_fill{when}": shade
        for when, shade in {
            "": "*primary_700",
            "_dark": "*primary_700",
            "_hover": "*primary_800",
            "_hover_dark": "*primary_800",
        }.items()
    }
    return plain.set(color_accent="*primary_700", **fills)


def _outermost(folders: Sequence[Path]) -> tuple[Path, ...]:
    """Leave out folders that lie below another."""
    whole = {folder.resolve() for folder in folders}
    return tuple(dict.fromkeys(one for one in folders if not whole & set(one.resolve().parents)))
