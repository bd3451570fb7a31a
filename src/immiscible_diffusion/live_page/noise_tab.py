"""Noise: the idea with images as points in the plane, and its real curve on a run's images."""

from typing import Any

import gradio as gr
import numpy as np

from immiscible_diffusion.analysis.clean_images import CleanImages
from immiscible_diffusion.analysis.miscibility import diffusion_ratios, signal_ratios
from immiscible_diffusion.analysis.miscibility_pictures import entropy_picture
from immiscible_diffusion.analysis.posterior import posterior
from immiscible_diffusion.analysis.territories import plot_territories, territories
from immiscible_diffusion.live_page.choosing import Chooser, chooser, image_runs
from immiscible_diffusion.live_page.found_runs import Found, Library, chosen
from immiscible_diffusion.live_page.inputs import answered, number, whole
from immiscible_diffusion.live_page.opened_runs import image_model, images_of
from immiscible_diffusion.live_page.shown import figure
from immiscible_diffusion.pairing import Independent, Nearest, Pairing
from immiscible_diffusion.randomness import generator_for

USUAL_K = 8
MOST_K, MOST_POINTS, ROWS, TIMES, ASKED = 64, 12, 2000, 12, 64


def noise_tab(library: Library) -> list[Chooser]:
    """Build the tab."""
    gr.Markdown(
        "### In two dimensions\nLarge marks are images, small marks the noisy points that training makes "
        "of them. At k = 1 any noise may "
        "belong to any image; drag k up and each image gets a territory of its own."
    )
    with gr.Row():
        k = gr.Slider(
            1, MOST_K, 1, step=1, label="k: each image takes the nearest of k noises (1 is vanilla)"
        )
        time = gr.Slider(0.05, 1, 1, step=0.05, label="Time: 1 is pure noise")
        count = gr.Slider(2, MOST_POINTS, 6, step=1, label="Images")
    toy = gr.HTML(plane(1, 1, 6), label="Territories")
    gr.Markdown(
        "### On real images\nThe same measured on the images that a run was trained on, at the k above "
        "(at 8 where it is 1)."
    )
    run = chooser(library, "Run whose images are looked at", image_runs)
    button = gr.Button("Measure the miscibility of these images", variant="primary")
    curve = gr.HTML(label="Miscibility")

    @answered
    def draw(*given: Any) -> str:
        return plane(*given)

    @answered
    def measure(name: Any, k: Any) -> str:
        return real_curve(library.found(), name, k)

    for slider in (k, time, count):
        slider.input(
            draw,
            [k, time, count],
            toy,
            api_name="territories" if slider is k else False,
            trigger_mode="always_last",
            show_progress="hidden",
        )
    button.click(measure, [run.component, k], curve, api_name="miscibility")
    return [run]


def plane(k: Any, time: Any, count: Any) -> str:
    """Draw the plane, as HTML."""
    nearest = whole("k", k, 1, MOST_K)
    shown = territories(whole("images", count, 2, MOST_POINTS), nearest, number("time", time, 0.05, 1))
    said = (
        f"Whoever knows the images and the rule and sees one small mark has {shown.in_play:.2f} of "
        f"{len(shown.images)} images "
        f"still in play (e to the mean posterior entropy), at k = {nearest} and time {shown.time:g}."
    )
    picture = plot_territories(shown)
    return figure(picture, f"Scatter of noisy points in the plane. {said}", said, size="small")


def real_curve(found: Found, name: Any, k: Any) -> str:
    """Measure the posterior entropy over time on a run's images, as HTML."""
    nearest = whole("k", k, 1, MOST_K)
    nearest = USUAL_K if nearest == 1 else nearest
    folder = chosen("run on images", name, found.images)
    model, data = image_model(folder), images_of(folder)
    images = CleanImages(data.name, data.pixels[:ROWS], model.experiment.image_std, data.fingerprint)
    centre, ratios = images.mean(), signal_ratios(images, TIMES)
    pairings: dict[str, Pairing] = {
        "independent": Independent(),
        f"nearest:{nearest}:uncentred": Nearest(k=nearest),
        f"nearest:{nearest}": Nearest(k=nearest, centre=centre),
    }
    curves = {
        title: posterior(
            images, pairing, ratios, ASKED, generator_for(0, "noise"), generator_for(0, "samples")
        )
        for title, pairing in pairings.items()
    }
    told = "; ".join(f"{title} {curve.information:.3f} nats" for title, curve in curves.items())
    said = (
        f"How unsure one must be which of {len(images):,} images a noisy point came from; e^entropy "
        "images are in play, "
        f"and the dotted line is all of them (ln {len(images):,} = {np.log(len(images)):.2f}). What pure "
        f"noise tells of its image: {told}. "
        "In many dimensions a territory is thin: choosing spends only ln k nats."
    )
    return figure(
        entropy_picture(images, 0, curves, diffusion_ratios()), f"Entropy against time. {said}", said
    )
