"""Edit: brush over a part of an image to have it painted anew, or keep a frame and have the rest painted."""

from collections.abc import Mapping
from typing import Any

import gradio as gr
import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from immiscible_diffusion.editing import pixel_space, repaint
from immiscible_diffusion.live_page.choosing import Chooser, image_runs, two_choosers
from immiscible_diffusion.live_page.found_runs import Found, Library, chosen, image_model, images_of
from immiscible_diffusion.live_page.inputs import (
    EVERY_CLASS,
    answered,
    labels_of,
    number,
    same_images,
    whole,
)
from immiscible_diffusion.live_page.sample_tab import LARGEST_SEED, MOST_STEPS
from immiscible_diffusion.live_page.shown import figure, png_of
from immiscible_diffusion.masks import box_mask, painted_mask
from immiscible_diffusion.pictures import image_sheet
from immiscible_diffusion.randomness import generator_for

BRUSHED, FRAMED = "Fill what is brushed (in-paint)", "Keep the frame, fill the rest (out-paint)"
EDITOR_SIDE, SHOWN_SIDE, MOST_IMAGES, MOST_ROUNDS = 320, 160, 10_000, 10


def edit_tab(library: Library) -> list[Chooser]:
    """Build the tab."""
    gr.Markdown(
        "Take an image of the data or upload one, then brush over what is to be painted anew, or move "
        "the frame of what is kept. Every "
        "pixel that is kept comes back as it was (RePaint)."
    )
    choosers = two_choosers(library, image_runs)
    left, right = (one.component for one in choosers)
    with gr.Row():
        with gr.Column():
            with gr.Row():
                row = gr.Number(0, label="Image of the run's data, by number", precision=0)
                take = gr.Button("Take this image")
            editor = gr.ImageEditor(
                label="Image; brush over a part of it",
                type="pil",
                image_mode="RGBA",
                sources=("upload",),
                layers=False,
                transforms=(),
                buttons=[],
                brush=gr.Brush(default_size=60, colors=["#D55E00"], color_mode="fixed"),
                canvas_size=(EDITOR_SIDE, EDITOR_SIDE),
                height=EDITOR_SIDE + 120,
            )
        with gr.Column():
            task = gr.Radio([BRUSHED, FRAMED], value=BRUSHED, label="What to do")
            share = gr.Slider(0.1, 0.9, 0.5, step=0.05, label="Frame: share of the side that is kept")
            across = gr.Slider(0, 1, 0.5, step=0.05, label="Frame: left (0) to right (1)")
            down = gr.Slider(0, 1, 0.5, step=0.05, label="Frame: top (0) to bottom (1)")
            kept = gr.HTML(label="What is kept")
    with gr.Row():
        steps = gr.Slider(2, MOST_STEPS, 20, step=1, label="Sampler steps")
        rounds = gr.Slider(1, MOST_ROUNDS, 3, step=1, label="Times that each step is walked (resampling)")
        seed = gr.Number(0, label="Seed of the noise", precision=0)
        wanted = gr.Textbox("", label="Class of the image (class-conditional runs)")
    button = gr.Button("Paint", variant="primary")
    shown = gr.HTML(label="Painted")

    @answered
    def taken(name: Any, number: Any) -> tuple[dict[str, Any], str]:
        return image_to_edit(library.found(), name, number)

    @answered
    def frame(name: Any, image: Any, *where: Any) -> str:
        model = image_model(chosen("run", name, library.found().images))
        return _kept_part(pixels_of(image, model.shape), _outside(model.shape[1:], *where))

    @answered
    def paint(left: Any, right: Any, *given: Any) -> str:
        return painted(library.found(), [left, right], *given)

    take.click(taken, [left, row], [editor, wanted], api_name="take")
    for slider in (share, across, down):
        slider.input(
            frame,
            [left, editor, share, across, down],
            kept,
            api_name=False,
            trigger_mode="always_last",
            show_progress="hidden",
        ).success(lambda: FRAMED, None, task, api_name=False)
    button.click(
        paint,
        [left, right, editor, task, share, across, down, steps, rounds, seed, wanted],
        shown,
        api_name="edit",
    )
    return list(choosers)


def image_to_edit(found: Found, name: Any, row: Any) -> tuple[dict[str, Any], str]:
    """Give an image of a run's data as an editor takes it, enlarged by a whole factor, and its class."""
    data = images_of(chosen("run", name, found.images))
    number = whole("image", row, 0, len(data.pixels) - 1)
    picture = image_sheet(data.pixels[number][None], least_side=EDITOR_SIDE)
    said = "" if data.labels is None else data.class_names[int(data.labels[number])]
    return {"background": picture, "layers": [], "composite": picture}, said


def painted(
    found: Found,
    names: list[Any],
    image: Any,
    task: Any,
    share: Any,
    across: Any,
    down: Any,
    steps: Any,
    rounds: Any,
    seed: Any,
    wanted: Any,
) -> str:
    """Paint the hole of an image under one or two runs, as HTML."""
    evaluations = whole("steps", steps, 2, MOST_STEPS)
    resampling = whole("resampling", rounds, 1, MOST_ROUNDS)
    start = whole("seed", seed, 0, LARGEST_SEED)
    if task not in (BRUSHED, FRAMED):
        raise ValueError(f"what to do must be one of {BRUSHED!r} and {FRAMED!r}")
    models = [image_model(chosen("run", name, found.images)) for name in dict.fromkeys(names)]
    shape = same_images(models)
    pixels = pixels_of(image, shape)
    if wanted in (None, "", EVERY_CLASS) and any(one.experiment.class_conditional for one in models):
        raise ValueError("these runs paint what belongs to a class; name that of the image")
    if task == FRAMED:
        hole = _outside(shape[1:], share, across, down)
    else:
        hole = painted_mask((shape[1], shape[2]), image.get("layers") or [])
    columns, titles = [pixels.masked_fill(hole, 128)], ["what is kept"]
    for model in models:
        columns.append(
            repaint(
                model.experiment.objective,
                model.network,
                pixel_space(model.experiment.image_std),
                pixels,
                hole,
                evaluations,
                generator=generator_for(start, "editing"),
                condition=labels_of(model, wanted, 1),
                resampling=resampling,
            )
        )
        titles.append(model.experiment.pairing)
    sheet = png_of(image_sheet(torch.cat(columns), columns=len(columns), least_side=SHOWN_SIDE))
    share_painted = float(hole.float().mean())
    said = f"From left: {', '.join(titles)}. {share_painted:.0%} of the pixels painted, from the same noise."
    return figure(sheet, f"Images side by side. {said}", said)


def pixels_of(image: Any, shape: tuple[int, int, int]) -> Tensor:
    """Turn what an image editor gives into an image of the run's shape, uint8 [1, C, H, W].

    Raises ValueError where there is none.
    """
    background = image.get("background") if isinstance(image, Mapping) else None
    if background is None:
        raise ValueError("there is no image yet; take one of the data or upload one")
    flat = Image.new("RGBA", background.size, "white")
    flat.alpha_composite(background.convert("RGBA"))
    colours = flat.convert("L" if shape[0] == 1 else "RGB")
    fitted = ImageOps.fit(colours, (shape[2], shape[1]), Image.Resampling.BOX)
    held = torch.from_numpy(np.array(fitted, dtype=np.uint8))
    return held.view(1, shape[1], shape[2], -1).permute(0, 3, 1, 2)


def _outside(size: tuple[int, ...], share: Any, across: Any, down: Any) -> Tensor:
    """Mark all but a frame of so large a share of the side, bool [H, W]."""
    part = number("share", share, 0.1, 0.9)
    tall, wide = (min(side - 1, max(1, round(side * part))) for side in size)
    top = round(number("top to bottom", down, 0, 1) * (size[0] - tall))
    left = round(number("left to right", across, 0, 1) * (size[1] - wide))
    return ~box_mask((size[0], size[1]), (top, left, top + tall, left + wide))


def _kept_part(pixels: Tensor, hole: Tensor) -> str:
    sheet = png_of(image_sheet(pixels.masked_fill(hole, 128), least_side=SHOWN_SIDE))
    return figure(sheet, "The image with all but the frame in grey", "What is kept; grey is painted anew.")
