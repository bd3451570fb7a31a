"""Edit: brush over a part of an image to have it painted anew, or keep a frame and have the rest painted."""

from collections.abc import Mapping
from typing import Any

import gradio as gr
import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from immiscible_diffusion.live_page.choosing import Chooser, all_image_runs, two_choosers
from immiscible_diffusion.live_page.found_runs import Found, Library, chosen, read_prompts
from immiscible_diffusion.live_page.frame import DRAG, SHOWN_SIDE, framed_picture, outside
from immiscible_diffusion.live_page.inputs import (
    EVERY_CLASS,
    answered,
    labels_of,
    number,
    same_shape,
    whole,
    words,
)
from immiscible_diffusion.live_page.opened_runs import (
    image_model,
    images_of,
    prompted_model,
    told_image,
    told_images_of,
)
from immiscible_diffusion.live_page.sample_tab import (
    GUIDANCE,
    LARGEST_SEED,
    MOST_GUIDANCE,
    MOST_STEPS,
    spoken,
)
from immiscible_diffusion.live_page.shown import figure, png_of
from immiscible_diffusion.masks import painted_mask
from immiscible_diffusion.painting.originals import Originals
from immiscible_diffusion.painting.painters import Painter, Walk, image_painter, text_to_image_painter
from immiscible_diffusion.pictures import image_sheet

BRUSHED, FRAMED = "Fill what is brushed (in-paint)", "Keep the frame, fill the rest (out-paint)"
EDITOR_SIDE, MOST_ROUNDS = 320, 10


def edit_tab(library: Library) -> list[Chooser]:
    """Build the tab."""
    gr.Markdown(
        "Take an image of the data or upload one, then brush over what is to be painted anew, or drag the "
        "frame of what is kept. Every pixel that is kept comes back as it was (RePaint). Text-to-image runs "
        "paint what the prompt says; they paint in blocks, so leave at least one block of pixels as it is."
    )
    choosers = two_choosers(library, all_image_runs)
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
            kept = gr.HTML(label="What is kept", js_on_load=DRAG)
    with gr.Row():
        steps = gr.Slider(2, MOST_STEPS, 20, step=1, label="Sampler steps")
        rounds = gr.Slider(1, MOST_ROUNDS, 3, step=1, label="Times that each step is walked (resampling)")
        seed = gr.Number(0, label="Seed of the noise", precision=0)
    with gr.Row():
        wanted = gr.Textbox("", label="Class of the image (class-conditional runs)")
        prompt = gr.Textbox("", label="Prompt: what to paint (text-to-image runs)")
        guidance = gr.Slider(0, MOST_GUIDANCE, 1, step=0.5, label=GUIDANCE)
    button = gr.Button("Paint", variant="primary")
    shown = gr.HTML(label="Painted")

    @answered
    def taken(name: Any, number: Any) -> tuple[dict[str, Any], str, str]:
        return image_to_edit(library.found(), name, number)

    @answered
    def frame(name: Any, image: Any, *where: Any) -> str:
        shape = _painter(library.found(), name, Walk()).shape
        return framed_picture(pixels_of(image, shape), *where)

    @answered
    def dropped(event: gr.EventData) -> tuple[float, float]:
        at = [getattr(event, name, None) for name in ("across", "down")]
        return number("left to right", at[0], 0, 1), number("top to bottom", at[1], 0, 1)

    @answered
    def paint(left: Any, right: Any, *given: Any) -> str:
        return painted(library.found(), [left, right], *given)

    where = [left, editor, share, across, down]
    quietly: dict[str, Any] = {"api_name": False, "show_progress": "hidden"}
    taking = take.click(taken, [left, row], [editor, wanted, prompt], api_name="take")
    for shows in (taking.success, editor.upload):
        shows(frame, where, kept, **quietly)
    for slider in (share, across, down):
        slider.input(frame, where, kept, trigger_mode="always_last", **quietly).success(
            lambda: FRAMED, None, task, api_name=False
        )
    moved = kept.release(dropped, None, [across, down], **quietly)
    moved.success(frame, where, kept, **quietly).success(lambda: FRAMED, None, task, api_name=False)
    inputs = [left, right, editor, task, share, across, down, steps, rounds, seed, wanted, prompt, guidance]
    button.click(paint, inputs, shown, api_name="edit")
    return list(choosers)


def image_to_edit(found: Found, name: Any, row: Any) -> tuple[dict[str, Any], str, str]:
    """Give an image of a run's data as an editor takes it, its class and its prompt."""
    place = chosen("run", name, found.images | found.prompted)
    said, prompt = "", ""
    if name in found.prompted:
        stored, rows, prompts = told_images_of(place)
        number_of = whole("image", row, 0, len(rows) - 1)
        pixels, prompt = told_image(stored, rows[number_of]), prompts.texts[number_of][0]
    else:
        data = images_of(place)
        number_of = whole("image", row, 0, len(data.pixels) - 1)
        pixels = data.pixels[number_of][None]
        said = "" if data.labels is None else data.class_names[int(data.labels[number_of])]
    picture = image_sheet(pixels, least_side=EDITOR_SIDE)
    return {"background": picture, "layers": [], "composite": picture}, said, prompt


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
    prompt: Any,
    guidance: Any,
) -> str:
    """Paint the hole of an image under one or two runs, as HTML."""
    evaluations = whole("steps", steps, 2, MOST_STEPS)
    resampling = whole("resampling", rounds, 1, MOST_ROUNDS)
    start = whole("seed", seed, 0, LARGEST_SEED)
    scale, text = number("guidance", guidance, 0, MOST_GUIDANCE), words("prompt", prompt)
    if task not in (BRUSHED, FRAMED):
        raise ValueError(f"what to do must be one of {BRUSHED!r} and {FRAMED!r}")
    prompted = read_prompts(found, names)
    different = list(dict.fromkeys(names))
    walk = Walk(evaluations, resampling, guidance=scale, seed=start)
    painters = [_painter(found, name, walk) for name in different]
    shape = same_shape(painter.shape for painter in painters)
    if prompted:
        same_shape(prompted_model(found.prompted[name]).model.shape for name in different)
    pixels = pixels_of(image, shape)
    if wanted in (None, "", EVERY_CLASS) and any(painter.needs == "labels" for painter in painters):
        raise ValueError("these runs paint what belongs to a class; name that of the image")
    size = (shape[1], shape[2])
    if task == FRAMED:
        hole = outside(size, share, across, down)
    else:
        hole = painted_mask(size, image.get("layers") or [])
    columns, titles = [pixels.masked_fill(hole, 128)], ["what is kept"]
    for name, painter in zip(different, painters, strict=True):
        labels = None if prompted else labels_of(image_model(found.images[name]), wanted, 1)
        columns.append(painter.paint(Originals("given", "", pixels, labels, (text,)), hole))
        titles.append(painter.about["pairing"])
    sheet = png_of(image_sheet(torch.cat(columns), columns=len(columns), least_side=SHOWN_SIDE))
    told = f", {spoken(text, scale)}" if prompted else ""
    said = (
        f"From left: {', '.join(titles)}. {float(hole.float().mean()):.0%} of the pixels painted, from the "
        f"same noise{told}."
    )
    return figure(sheet, f"Images side by side. {said}", said)


def _painter(found: Found, name: Any, walk: Walk) -> Painter:
    place = chosen("run", name, found.images | found.prompted)
    if name in found.prompted:
        return text_to_image_painter(place, prompted_model(place), walk)
    return image_painter(place, image_model(place), walk)


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
