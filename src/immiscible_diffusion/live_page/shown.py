"""Pictures and text as the page shows them: with a caption, words for who cannot see them, no file."""

import io
from html import escape

from PIL import Image

from immiscible_diffusion.pages import data_uri

STYLE = """
.gradio-container { max-width: 76rem !important; margin: 0 auto !important; }
figure { margin: .4rem 0 1rem; }
figure img { max-width: 100%; background: #ffffff; border-radius: 4px; }
figcaption { font-size: .95rem; margin-top: .4rem; max-width: 58rem; user-select: text; }
figure.small img { max-width: min(36rem, 100%); }
.side { display: flex; flex-wrap: wrap; gap: 1.2rem; }
.side > figure { flex: 1 1 18rem; max-width: 34rem; }
.side img { width: 100%; }
.board { position: relative; overflow: hidden; width: 20rem; max-width: 100%; }
.board img { display: block; width: 100%; image-rendering: pixelated; }
.board .frame { position: absolute; cursor: move; touch-action: none; outline: 2px solid #d55e00;
  outline-offset: -2px;  box-shadow: 0 0 0 100rem rgb(128 128 128 / .88); }
.dark [role=tab][aria-selected=true] { color: var(--primary-400) !important; }
progress { width: 100%; height: 1.2rem; }
iframe.report { width: 100%; height: 80vh; border: 1px solid #8888; border-radius: 4px; }
:focus-visible { outline: 3px solid #d55e00 !important; outline-offset: 2px; }
"""
THINGS = {"png": "image/png", "gif": "image/gif"}


def figure(content: bytes, alt: str, caption: str, kind: str = "png", size: str = "", over: str = "") -> str:
    """A picture with its caption, as HTML; `alt` says what it shows.

    size: "small" for a narrow one. over: HTML that lies on the picture.
    """
    picture = f'<img src="{data_uri(THINGS[kind], content)}" alt="{escape(alt)}">'
    picture = f'<div class="board">{picture}{over}</div>' if over else picture
    return f'<figure class="{size}">{picture}<figcaption>{escape(caption)}</figcaption></figure>'


def side_by_side(figures: list[str]) -> str:
    """Figures beside each other where there is room."""
    return f'<div class="side">{"".join(figures)}</div>'


def png_of(picture: Image.Image) -> bytes:
    """Encode a picture."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def page_inside(page: str, title: str) -> str:
    """A whole page within this one."""
    return f'<iframe class="report" title="{escape(title)}" srcdoc="{escape(page)}"></iframe>'


def note(text: str) -> str:
    """A paragraph."""
    return f"<p>{escape(text)}</p>"
