"""Compare: the report of a finished comparison, inside the page."""

from typing import Any

import gradio as gr

from immiscible_diffusion.comparison import report_page
from immiscible_diffusion.live_page.choosing import Chooser, chooser
from immiscible_diffusion.live_page.found_runs import Found, Library, chosen
from immiscible_diffusion.live_page.inputs import answered
from immiscible_diffusion.live_page.opened_runs import comparison_of
from immiscible_diffusion.live_page.shown import page_inside

HOW = (
    "Curves, verdicts, speed-ups, samples and raw numbers of a finished comparison: several pairings "
    "from the same weights, the same "
    "images and the same evaluation noise. More come from `immiscible compare EXPERIMENT`."
)


def compare_tab(library: Library) -> list[Chooser]:
    """Build the tab."""
    gr.Markdown(HOW)
    results = chooser(library, "Comparison", comparisons)
    button = gr.Button("Show the report", variant="primary")
    shown = gr.HTML(label="Report")

    @answered
    def compare(name: Any) -> str:
        place = chosen("comparison", name, library.found().comparisons)
        return page_inside(report_page(*comparison_of(place)), f"Report of {name}")

    button.click(compare, [results.component], shown, api_name="compare")
    return [results]


def comparisons(found: Found) -> list[str]:
    """Names of the comparisons."""
    return list(found.comparisons)
