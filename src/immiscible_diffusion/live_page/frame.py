"""The frame of what out-painting keeps: dragged over the image, or moved by sliders."""

from typing import Any

from torch import Tensor

from immiscible_diffusion.live_page.inputs import number
from immiscible_diffusion.live_page.shown import figure, png_of
from immiscible_diffusion.masks import box_mask
from immiscible_diffusion.pictures import image_sheet

SHOWN_SIDE = 160
CAPTION = "What is kept; grey is painted anew. Drag the frame, or use the sliders."
# Runs once, on what holds the picture; the picture itself comes and goes.
DRAG = """
element.addEventListener('pointerdown', pressed => {
  const frame = pressed.target.closest('.frame')
  if (!frame) return
  pressed.preventDefault()
  const board = frame.parentElement.getBoundingClientRect(), own = frame.getBoundingClientRect()
  const share = (wanted, room) => room > 0 ? Math.min(1, Math.max(0, wanted / room)) : 0
  const at = {}
  const move = moved => {
    at.across = share(moved.clientX - pressed.clientX + own.left - board.left, board.width - own.width)
    at.down = share(moved.clientY - pressed.clientY + own.top - board.top, board.height - own.height)
    frame.style.left = 100 * at.across * (1 - own.width / board.width) + '%'
    frame.style.top = 100 * at.down * (1 - own.height / board.height) + '%'
  }
  const drop = () => {
    document.removeEventListener('pointermove', move)
    if ('across' in at) trigger('release', at)
  }
  document.addEventListener('pointermove', move)
  document.addEventListener('pointerup', drop, {once: true})
})
"""


def frame_box(size: tuple[int, int], share: Any, across: Any, down: Any) -> tuple[int, int, int, int]:
    """Place a frame of so large a share of the side: top, left, bottom, right in pixels.

    across, down: from 0, left or top, to 1. Raises ValueError for what is out of range.
    """
    part = number("share", share, 0.1, 0.9)
    tall, wide = (min(side - 1, max(1, round(side * part))) for side in size)
    top = round(number("top to bottom", down, 0, 1) * (size[0] - tall))
    left = round(number("left to right", across, 0, 1) * (size[1] - wide))
    return top, left, top + tall, left + wide


def outside(size: tuple[int, int], share: Any, across: Any, down: Any) -> Tensor:
    """Mark all but the frame, bool [H, W]."""
    return ~box_mask(size, frame_box(size, share, across, down))


def framed_picture(pixels: Tensor, share: Any, across: Any, down: Any) -> str:
    """Show an image, uint8 [1, C, H, W], with its frame, as HTML for `DRAG`."""
    height, width = pixels.shape[2:]
    top, left, bottom, right = frame_box((height, width), share, across, down)
    place = (
        f"top:{top / height:.4%};left:{left / width:.4%};"
        f"height:{(bottom - top) / height:.4%};width:{(right - left) / width:.4%}"
    )
    shown = png_of(image_sheet(pixels, least_side=SHOWN_SIDE))
    return figure(
        shown,
        "The image; all but the frame is covered in grey",
        CAPTION,
        over=f'<span class="frame" style="{place}"></span>',
    )
