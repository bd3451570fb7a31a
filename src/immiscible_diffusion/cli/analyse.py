"""`immiscible analyse QUESTION`: each measurement and figure of the paper, for any data and pairings."""

from collections.abc import Callable
from typing import Annotated, Any, Union

import tyro

from immiscible_diffusion.cli.analyse_pairing import PAIRING_QUESTIONS
from immiscible_diffusion.cli.analyse_runs import RUN_QUESTIONS

QUESTIONS: dict[str, Callable[..., None]] = {**PAIRING_QUESTIONS, **RUN_QUESTIONS}

# Made from a dictionary, for which X | Y has no way of writing.
_Question: Any = Union[  # noqa: UP007
    tuple(Annotated[Any, tyro.conf.subcommand(name, constructor=ask)] for name, ask in QUESTIONS.items())
]


def analyse(question: Annotated[_Question, tyro.conf.arg(name="")]) -> None:
    """See what pairing does: a sentence, a JSON and a picture for each question.

    Args:
        question: What to ask.
    """
