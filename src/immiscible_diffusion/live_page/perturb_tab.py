"""Perturb: Figure 2 of the paper, live. A noise moves by W in ten directions; what becomes of its image?"""

from typing import Any

import gradio as gr
import torch

from immiscible_diffusion.analysis.image_grids import plot_grid
from immiscible_diffusion.analysis.perturbation import draw_noises, neighbours
from immiscible_diffusion.live_page.choosing import Chooser, image_runs, two_choosers
from immiscible_diffusion.live_page.found_runs import Found, Library, chosen
from immiscible_diffusion.live_page.inputs import (
    EVERY_CLASS,
    answered,
    labels_of,
    number,
    same_shape,
    whole,
)
from immiscible_diffusion.live_page.opened_runs import image_model
from immiscible_diffusion.live_page.sample_tab import LARGEST_SEED, MOST_STEPS
from immiscible_diffusion.live_page.shown import figure, note

ORIGINS, NEIGHBOURS = 3, 10


def perturb_tab(library: Library) -> list[Chooser]:
    """Build the tab."""
    gr.Markdown(
        "Each row begins with the image of one noise; the ten others come from that noise plus W times "
        "another (Eq. 1). Where paths "
        "mix less, a noise should be able to move further before its image becomes another."
    )
    choosers = two_choosers(library, image_runs)
    with gr.Row():
        strength = gr.Slider(0.02, 1, 0.1, step=0.02, label="W, how far the noise moves (0.1 is 10 %)")
        steps = gr.Slider(1, MOST_STEPS, 20, step=1, label="Sampler steps")
        seed = gr.Number(0, label="Seed of the noise", precision=0)
        wanted = gr.Textbox(EVERY_CLASS, label="Class (class-conditional runs)")
    button = gr.Button("Perturb", variant="primary")
    shown = gr.HTML(label="Neighbours")

    @answered
    def perturb(left: Any, right: Any, *given: Any) -> str:
        return perturbations(library.found(), [left, right], *given)

    inputs = [*(one.component for one in choosers), strength, steps, seed, wanted]
    button.click(perturb, inputs, shown, api_name="perturb")
    strength.release(perturb, inputs, shown, api_name=False, trigger_mode="always_last")
    return list(choosers)


def perturbations(found: Found, names: list[Any], strength: Any, steps: Any, seed: Any, wanted: Any) -> str:
    """Sample neighbours under one or two runs, as HTML."""
    far = number("W", strength, 0.02, 1)
    evaluations = whole("steps", steps, 1, MOST_STEPS)
    start = whole("seed", seed, 0, LARGEST_SEED)
    models = [image_model(chosen("run on images", name, found.images)) for name in dict.fromkeys(names)]
    noises = draw_noises(same_shape(model.shape for model in models), (far,), ORIGINS, NEIGHBOURS, start)
    rows, titles, moved = [], [], []
    for model in models:
        images, distance = neighbours(model, noises, far, evaluations, labels_of(model, wanted, ORIGINS))
        rows.append(images)
        titles += [model.experiment.pairing] + [""] * (ORIGINS - 1)
        moved.append(f"{model.experiment.pairing}: {distance:.1f} of 255")
    columns = ["origin", *(str(one + 1) for one in range(NEIGHBOURS))]
    picture = plot_grid(torch.cat(rows), titles, columns, f"Images of noises moved by W = {far:g}", "")
    said = (
        f"Root mean square change of pixels at W = {far:g} over these {ORIGINS} noises: {'; '.join(moved)}."
    )
    return figure(picture, f"Rows of images of moved noises. {said}", said) + note(
        "Three noises show the effect and measure nothing; `immiscible analyse stability` takes 32 and "
        "gives intervals."
    )
