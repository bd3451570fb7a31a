"""Sample: a vanilla and a paired run side by side, image for image from the same noise."""

from typing import Any

import gradio as gr
from torch import Tensor

from immiscible_diffusion.generation import generate
from immiscible_diffusion.live_page.choosing import Chooser, all_image_runs, two_choosers
from immiscible_diffusion.live_page.found_runs import Found, Library, read_prompts
from immiscible_diffusion.live_page.inputs import (
    EVERY_CLASS,
    answered,
    labels_of,
    number,
    same_shape,
    whole,
    words,
)
from immiscible_diffusion.live_page.opened_runs import image_model, prompted_model
from immiscible_diffusion.live_page.shown import figure, png_of, side_by_side
from immiscible_diffusion.pictures import image_sheet
from immiscible_diffusion.randomness import generator_for
from immiscible_diffusion.text_to_image.generation import draw_images, embed_texts

MOST_IMAGES, MOST_PROMPTED, MOST_STEPS, LARGEST_SEED = 64, 9, 100, 2**31 - 1
MOST_GUIDANCE, GUIDANCE = 15, "Guidance (text-to-image runs); 1 is none"


def sample_tab(library: Library) -> list[Chooser]:
    """Build the tab."""
    gr.Markdown("Image number n of both runs begins at the same Gaussian noise; nothing is selected.")
    choosers = two_choosers(library, all_image_runs)
    with gr.Row():
        steps = gr.Slider(1, MOST_STEPS, 20, step=1, label="Sampler steps (network evaluations an image)")
        count = gr.Slider(
            1, MOST_IMAGES, 16, step=1, label=f"Images (of text-to-image runs {MOST_PROMPTED} at most)"
        )
        seed = gr.Number(0, label="Seed of the noise", precision=0)
    with gr.Row():
        wanted = gr.Textbox(EVERY_CLASS, label="Class (class-conditional runs), such as 3")
        prompt = gr.Textbox("", label="Prompt (text-to-image runs)")
        guidance = gr.Slider(0, MOST_GUIDANCE, 1, step=0.5, label=GUIDANCE)
    button = gr.Button("Sample", variant="primary")
    shown = gr.HTML(label="Samples")

    @answered
    def sample(left: Any, right: Any, *given: Any) -> str:
        return samples(library.found(), [left, right], *given)

    inputs = [one.component for one in choosers]
    inputs += [steps, count, seed, wanted, prompt, guidance]
    button.click(sample, inputs, shown, api_name="sample")
    return list(choosers)


def samples(
    found: Found, names: list[Any], steps: Any, count: Any, seed: Any, wanted: Any, prompt: Any, guidance: Any
) -> str:
    """Sample from one or two runs, as HTML."""
    evaluations = whole("steps", steps, 1, MOST_STEPS)
    number_of = whole("images", count, 1, MOST_IMAGES)
    start = whole("seed", seed, 0, LARGEST_SEED)
    scale = number("guidance", guidance, 0, MOST_GUIDANCE)
    text = words("prompt", prompt)
    if read_prompts(found, names):
        figures = _prompted(found, names, min(number_of, MOST_PROMPTED), evaluations, start, text, scale)
    else:
        figures = _plain(found, names, number_of, evaluations, start, wanted)
    return side_by_side(figures)


def _plain(found: Found, names: list[Any], count: int, evaluations: int, seed: int, wanted: Any) -> list[str]:
    models = {name: image_model(found.images[name]) for name in names}
    same_shape(model.shape for model in models.values())
    figures = []
    for name, model in models.items():
        pixels = generate(
            model.experiment,
            model.network,
            model.shape,
            count,
            evaluations,
            generator_for(seed, "samples"),
            labels=labels_of(model, wanted, count),
        )
        made = f"{count} images, {evaluations} steps, seed {seed}"
        made += f", class {wanted or EVERY_CLASS}" if model.experiment.class_conditional else ""
        figures.append(_sheet(name, pixels, model.experiment.pairing, model.step, made))
    return figures


def _prompted(
    found: Found, names: list[Any], count: int, evaluations: int, seed: int, text: str, guidance: float
) -> list[str]:
    models = {name: prompted_model(found.prompted[name]) for name in names}
    same_shape(trained.model.shape for trained in models.values())
    figures = []
    for name, trained in models.items():
        pixels = draw_images(
            trained.model,
            embed_texts(trained.encoder, [text]).expand(count, -1, -1),
            evaluations,
            generator_for(seed, "samples"),
            guidance=guidance,
        )
        made = f"{count} images, {evaluations} steps, seed {seed}, {spoken(text, guidance)}"
        figures.append(_sheet(name, pixels, trained.experiment.pairing, trained.step, made))
    return figures


def spoken(text: str, guidance: float) -> str:
    """Say what a text-to-image run was told."""
    return f"“{text}”, guidance {guidance:g}" if text else "without a prompt"


def _sheet(name: str, pixels: Tensor, pairing: str, step: int, made: str) -> str:
    picture = png_of(image_sheet(pixels, least_side=64))
    shows = f"Grid of {len(pixels)} generated images of {name}"
    return figure(picture, shows, f"{pairing}, {step:,} training steps; {made}")
