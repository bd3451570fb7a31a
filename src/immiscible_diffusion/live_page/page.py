"""The page: its tabs, and lists that are filled anew when someone comes or a training ends."""

from typing import Any

import gradio as gr

from immiscible_diffusion.live_page.compare_tab import compare_tab
from immiscible_diffusion.live_page.denoise_tab import denoise_tab
from immiscible_diffusion.live_page.edit_tab import edit_tab
from immiscible_diffusion.live_page.found_runs import Library
from immiscible_diffusion.live_page.noise_tab import noise_tab
from immiscible_diffusion.live_page.perturb_tab import perturb_tab
from immiscible_diffusion.live_page.robot_tab import robot_tab
from immiscible_diffusion.live_page.sample_tab import sample_tab
from immiscible_diffusion.live_page.start_tab import start_tab, what_was_found
from immiscible_diffusion.live_page.training_job import TrainingJob

TITLE = "Immiscible diffusion: see it and touch it"
TABS = {
    "Sample": sample_tab,
    "Perturb": perturb_tab,
    "Denoise": denoise_tab,
    "Edit": edit_tab,
    "Noise": noise_tab,
    "Compare": compare_tab,
    "Robot": robot_tab,
}
FORGOTTEN = 3600  # seconds after which an uploaded file is deleted


def build_page(library: Library, job: TrainingJob) -> Any:
    """Build the page; nothing is served yet."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(FORGOTTEN, FORGOTTEN)) as page:
        gr.Markdown(f"# {TITLE}")
        choosers = []
        with gr.Tabs():
            with gr.Tab("Start"):
                said, trained = start_tab(library, job)
            for name, build in TABS.items():
                with gr.Tab(name):
                    choosers += build(library)

        def fill() -> list[Any]:
            found = library.found()
            return [what_was_found(library), *(chooser.filled(found) for chooser in choosers)]

        lists = [said, *(chooser.component for chooser in choosers)]
        page.load(fill, None, lists, api_name=False, show_progress="hidden")
        trained.then(fill, None, lists, api_name=False, show_progress="hidden")
    return page
