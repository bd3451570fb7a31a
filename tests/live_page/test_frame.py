"""The frame of what out-painting keeps."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

pytest.importorskip("gradio")

from immiscible_diffusion.live_page.frame import frame_box, framed_picture, outside


@example(2, 2, 0.9, 0, 0)
@given(st.integers(2, 40), st.integers(2, 40), st.floats(0.1, 0.9), st.floats(0, 1), st.floats(0, 1))
def test_a_frame_lies_inside_and_leaves_something_to_paint(
    high: int, wide: int, share: float, across: float, down: float
) -> None:
    hole = outside((high, wide), share, across, down)
    top, left, bottom, right = frame_box((high, wide), share, across, down)
    assert 0 < int(hole.sum()) < high * wide
    assert not hole[top:bottom, left:right].any() and int((~hole).sum()) == (bottom - top) * (right - left)
    for place, first, last, side in ((across, left, right, wide), (down, top, bottom, high)):
        assert (first == 0 or place > 0) and (last == side or place < 1)
    assert frame_box((high, wide), share, 1, 1)[2:] == (high, wide)


def test_the_frame_is_drawn_where_it_is() -> None:
    pixels = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    drawn = framed_picture(pixels, 0.5, 1, 0)
    assert "top:0.0000%;left:50.0000%;height:50.0000%;width:50.0000%" in drawn
    with pytest.raises(ValueError, match="left to right must be a number from 0 to 1"):
        framed_picture(pixels, 0.5, None, 0)
