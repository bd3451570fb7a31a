"""Lists of what was found, kept true while runs come and go."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from immiscible_diffusion.live_page.found_runs import Found, Library, two_alike

Names = Callable[[Found], list[str]]


@dataclass(frozen=True)
class Chooser:
    """A list on the page, the names that it offers, and which of the two usual ones it begins with."""

    component: Any
    names: Names
    second: bool = False
    several: bool = False  # both are chosen

    def filled(self, found: Found) -> Any:
        """Offer what there is now."""
        names = self.names(found)
        return gr.update(choices=names, value=_both(names) if self.several else two_alike(names)[self.second])


def chooser(library: Library, label: str, names: Names, second: bool = False) -> Chooser:
    """Put a list on the page."""
    offered = names(library.found())
    value = two_alike(offered)[second]
    # Gradio knows the list as it was when it started; `chosen` knows it as it is.
    component = gr.Dropdown(choices=offered, value=value, label=label, allow_custom_value=True)
    return Chooser(component, names, second)


def two_choosers(library: Library, names: Names) -> tuple[Chooser, Chooser]:
    """Put two lists beside each other: vanilla and paired."""
    with gr.Row():
        left = chooser(library, "Left run (vanilla)", names)
        right = chooser(library, "Right run (paired)", names, second=True)
    return left, right


def several_chooser(library: Library, label: str, names: Names, most: int) -> Chooser:
    """Put a list on the page from which several may be chosen."""
    offered = names(library.found())
    component = gr.Dropdown(
        choices=offered,
        value=_both(offered),
        label=label,
        multiselect=True,
        max_choices=most,
        allow_custom_value=True,
    )
    return Chooser(component, names, several=True)


def _both(names: list[str]) -> list[str]:
    return list(dict.fromkeys(name for name in two_alike(names) if name is not None))


def image_runs(found: Found) -> list[str]:
    """Names of runs on images without prompts."""
    return list(found.images)


def all_image_runs(found: Found) -> list[str]:
    """Names of runs that make images, with prompts or without."""
    return [*found.images, *found.prompted]
