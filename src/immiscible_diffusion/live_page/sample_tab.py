"""Sample: a vanilla and a paired run side by side, image for image from the same noise."""

from typing import Any

import gradio as gr

from immiscible_diffusion.generation import generate
from immiscible_diffusion.live_page.choosing import Chooser, all_image_runs, two_choosers
from immiscible_diffusion.live_page.found_runs import Found, Library, chosen, image_model, prompted_model
from immiscible_diffusion.live_page.inputs import (
    EVERY_CLASS,
    answered,
    labels_of,
    number,
    same_images,
    whole,
    words,
)
from immiscible_diffusion.live_page.shown import figure, png_of, side_by_side
from immiscible_diffusion.pictures import image_sheet
from immiscible_diffusion.randomness import generator_for
from immiscible_diffusion.text_to_image.generation import draw_images, embed_texts

MOST_IMAGES, MOST_PROMPTED, MOST_STEPS, LARGEST_SEED = 64, 9, 100, 2**31 - 1


def sample_tab(library: Library) -> list[Chooser]:
    """Build the tab."""
    gr.Markdown("Image number n of both runs begins at the same Gaussian noise; nothing is selected.")
    choosers = two_choosers(library, all_image_runs)
    with gr.Row():
        steps = gr.Slider(1, MOST_STEPS, 20, step=1, label="Sampler steps (network evaluations an image)")
        count = gr.Slider(1, MOST_IMAGES, 16, step=1, label="Images")
        seed = gr.Number(0, label="Seed of the noise", precision=0)
    with gr.Row():
        wanted = gr.Textbox(EVERY_CLASS, label="Class (class-conditional runs), such as 3")
        prompt = gr.Textbox("", label="Prompt (text-to-image runs)")
        guidance = gr.Slider(0, 15, 1, step=0.5, label="Guidance (text-to-image runs); 1 is none")
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
    scale = number("guidance", guidance, 0, 15)
    text = words("prompt", prompt)
    folders = {name: chosen("run", name, found.images | found.prompted) for name in dict.fromkeys(names)}
    plain = {name: image_model(place) for name, place in folders.items() if name in found.images}
    if plain:
        same_images(list(plain.values()))
    figures = []
    for name, place in folders.items():
        generator = generator_for(start, "samples")
        if name in plain:
            model = plain[name]
            pixels = generate(
                model.experiment,
                model.network,
                model.shape,
                number_of,
                evaluations,
                generator,
                labels=labels_of(model, wanted, number_of),
            )
            pairing, step, said = model.experiment.pairing, model.step, f"class {wanted}"
            said = f", {said}" if model.experiment.class_conditional else ""
        else:
            trained = prompted_model(place)
            embedded = embed_texts(trained.encoder, [text]).expand(min(number_of, MOST_PROMPTED), -1, -1)
            pixels = draw_images(trained.model, embedded, evaluations, generator, guidance=scale)
            pairing, step, said = trained.experiment.pairing, trained.step, f", “{text}”, guidance {scale:g}"
        made = f"{len(pixels)} images, {evaluations} steps, seed {start}{said}"
        sheet = png_of(image_sheet(pixels, least_side=64))
        figures.append(
            figure(
                sheet,
                f"Grid of {len(pixels)} generated images of {name}",
                f"{pairing}, {step:,} training steps; {made}",
            )
        )
    return side_by_side(figures)
