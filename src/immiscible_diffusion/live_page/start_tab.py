"""Start: what this is about, what was found, and the offer to train the digits."""

import time
from collections.abc import Iterator
from html import escape
from typing import Any

import gradio as gr

from immiscible_diffusion.live_page.found_runs import Library
from immiscible_diffusion.live_page.inputs import answered
from immiscible_diffusion.live_page.training_job import PAIRINGS, TrainingJob

ABOUT = """
A diffusion or flow model learns to turn noise into images. In training every image is paired with a noise.
**Vanilla** training draws that noise blindly, so the ways of different images cross (they are *miscible*)
and the network learns an average of them. A **paired** run gives each image a noise near it. Images are
sampled from fresh, independent noise in both.

- **Sample**: images of a vanilla and a paired run from the same noise.
- **Perturb**: how far a noise may move before its image becomes another (Fig. 2 of the paper).
- **Denoise**: what the network takes the image to be at every step on the way (Fig. 3).
- **Edit**: brush over a part and have it painted anew, or keep a frame and have the rest painted (Fig. 9).
- **Noise**: the idea in two dimensions, and the same measured on real images.
- **Compare**: did pairing save training steps? Curves, speed-ups, verdicts.
- **Robot**: let a trained policy push the T.
"""


def start_tab(library: Library, job: TrainingJob) -> tuple[Any, Any]:
    """Build the tab. Returns the list of what was found, and the event after which it may have changed."""
    gr.Markdown(ABOUT)
    found = gr.HTML(what_was_found(library))
    gr.Markdown("### Train the digits now\n" + _offer(job))
    with gr.Row():
        begin = gr.Button("Train the digits", variant="primary")
        halt = gr.Button("Stop the training")
    status = gr.HTML(label="Training")

    def train(request: gr.Request) -> Iterator[str]:
        job.start(str(request.session_hash))
        yield from watch(job)

    @answered
    def stop(request: gr.Request) -> None:
        job.stop(str(request.session_hash))

    trained = begin.click(train, None, status, concurrency_limit=8, api_name="train", show_progress="hidden")
    halt.click(stop, None, None, api_name="stop", show_progress="hidden")
    return found, trained


def watch(job: TrainingJob) -> Iterator[str]:
    """Show how far the training is until it ends."""
    while job.running:
        yield _progress(job)
        time.sleep(0.5)
    yield _progress(job)


def what_was_found(library: Library) -> str:
    """Say what can be looked at."""
    found = library.found()
    kinds = (
        ("image runs", found.images),
        ("text-to-image runs", found.prompted),
        ("policies", found.policies),
        ("comparisons", found.comparisons),
    )
    said = [f"{kind} {len(names)}" for kind, names in kinds if names]
    places = ", ".join(f"<code>{escape(str(folder))}</code>" for folder in library.folders)
    return f"<p><strong>Found</strong> in {places}: {', '.join(said) or 'nothing yet'}.</p>"


def _offer(job: TrainingJob) -> str:
    return (
        f"Trains flow matching on 8×8 digits twice, as `{PAIRINGS[0]}` (vanilla) and as `{PAIRINGS[1]}`, "
        f"{job.experiment.steps:,} steps each from the same weights and the same images in the same "
        "order: a minute or two "
        "on a CPU. One seed shows what happens; it says nothing about seed noise (`immiscible compare "
        "digits` "
        f"trains three). Goes to `{job.folder}`."
    )


def _progress(job: TrainingJob) -> str:
    return (
        f'<progress max="100" value="{job.share:.0%}" aria-label="Training done"></progress>'
        f'<p role="status">{escape(job.said)}</p>'
    ).replace('%"', '"')
