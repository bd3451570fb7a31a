"""What a person (or a program) sends: checked, and answered in words where it cannot be used."""

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from immiscible_diffusion.runs.trained_model import TrainedModel

EVERY_CLASS = "each in turn"
LONGEST_PROMPT = 1000  # characters


def whole(name: str, value: Any, low: int, high: int) -> int:
    """Take a whole number from `low` to `high`. Raises ValueError, naming it, for anything else."""
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not usable or value != int(value) or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, got {str(value)[:40]!r}")
    return int(value)


def number(name: str, value: Any, low: float, high: float) -> float:
    """Take a number from `low` to `high`. Raises ValueError, naming it, for anything else (NaN too)."""
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, got {str(value)[:40]!r}")
    return float(value)


def words(name: str, value: Any) -> str:
    """Take a text of a prompt's length."""
    if not isinstance(value, str) or len(value) > LONGEST_PROMPT:
        raise ValueError(f"{name} must be a text of at most {LONGEST_PROMPT} characters")
    return value


def labels_of(model: TrainedModel, wanted: Any, count: int) -> Tensor | None:
    """Give `count` images their class, int64; None for an unconditional run.

    wanted: a class's name, or `EVERY_CLASS`. Raises ValueError for one that the run does not know.
    """
    if not model.experiment.class_conditional:
        return None
    if wanted in (None, "", EVERY_CLASS):
        return torch.arange(count) % len(model.class_names)
    if str(wanted) not in model.class_names:
        some = ", ".join(model.class_names[:12])
        raise ValueError(f"class {str(wanted)[:40]!r} is not one of the run's: {some}")
    return torch.full((count,), model.class_names.index(str(wanted)))


def same_shape(shapes: Iterable[tuple[int, int, int]]) -> tuple[int, int, int]:
    """Give the one shape of two runs' images or latents. Raises ValueError where they differ."""
    different = dict.fromkeys(shapes)
    if len(different) > 1:
        said = " and ".join("×".join(map(str, shape)) for shape in different)
        raise ValueError(
            f"the two runs start from noise of {said}, so it cannot be the same; choose two on the same data"
        )
    return next(iter(different))


def answered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn an error that a person can mend into a message on the page."""

    @functools.wraps(function)
    def answer(*given: Any) -> Any:
        try:
            return function(*given)
        except (ValueError, TypeError, OSError, ArithmeticError) as error:
            raise gr.Error(str(error), title="That did not work", print_exception=False) from error

    return answer
