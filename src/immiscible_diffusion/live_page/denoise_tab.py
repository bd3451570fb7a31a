"""Denoise: what the network takes the image to be (x_pred,0) at every step from noise, as a film strip."""

from typing import Any

import gradio as gr
import torch

from immiscible_diffusion.analysis.denoising_pictures import plot_film
from immiscible_diffusion.analysis.trajectories import predicted_images
from immiscible_diffusion.live_page.choosing import Chooser, image_runs, two_choosers
from immiscible_diffusion.live_page.found_runs import Found, Library, chosen
from immiscible_diffusion.live_page.inputs import EVERY_CLASS, answered, labels_of, same_shape, whole
from immiscible_diffusion.live_page.opened_runs import image_model
from immiscible_diffusion.live_page.sample_tab import LARGEST_SEED, MOST_STEPS
from immiscible_diffusion.live_page.shown import figure
from immiscible_diffusion.randomness import generator_for

ROWS = 3


def denoise_tab(library: Library) -> list[Chooser]:
    """Build the tab."""
    gr.Markdown(
        "At pure noise a vanilla network can only predict an average image: every image could be its "
        "goal. A network trained on near "
        "noises has fewer to choose from, so its first predictions may already differ from row to row."
    )
    choosers = two_choosers(library, image_runs)
    with gr.Row():
        steps = gr.Slider(3, MOST_STEPS, 20, step=1, label="Sampler steps")
        seed = gr.Number(0, label="Seed of the noise", precision=0)
        wanted = gr.Textbox(EVERY_CLASS, label="Class (class-conditional runs)")
    button = gr.Button("Denoise", variant="primary")
    shown = gr.HTML(label="Film strip")

    @answered
    def denoise(left: Any, right: Any, *given: Any) -> str:
        return film(library.found(), [left, right], *given)

    button.click(
        denoise, [*(one.component for one in choosers), steps, seed, wanted], shown, api_name="denoise"
    )
    return list(choosers)


def film(found: Found, names: list[Any], steps: Any, seed: Any, wanted: Any) -> str:
    """Walk from noise to images under one or two runs, as HTML."""
    evaluations = whole("steps", steps, 3, MOST_STEPS)
    start = whole("seed", seed, 0, LARGEST_SEED)
    models = {name: image_model(chosen("run on images", name, found.images)) for name in dict.fromkeys(names)}
    shape = same_shape(model.shape for model in models.values())
    noise = torch.randn(ROWS, *shape, generator=generator_for(start, "samples"))
    strips, spreads = {}, []
    for number, model in enumerate(models.values()):
        _, images = predicted_images(model, noise, evaluations, labels_of(model, wanted, ROWS))
        pairing = model.experiment.pairing
        strips[pairing if pairing not in strips else f"{pairing} ({number + 1})"] = images
        spreads.append(f"{pairing}: {float(images[0].float().std(dim=0).mean()):.1f} of 255")
    picture = plot_film(strips, "Predicted image x_pred,0 along the way")
    said = (
        f"{ROWS} noises (rows), the same for both; left is the prediction from pure noise. How far the "
        "first predictions "
        f"of the rows differ (mean std of a pixel): {'; '.join(spreads)}."
    )
    return figure(picture, f"Film strips of predicted images. {said}", said)
