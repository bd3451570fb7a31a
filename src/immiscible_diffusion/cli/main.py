"""Reads the command line, and turns errors a user can mend into one line."""

import functools
import os
import sys
import warnings
from collections.abc import Callable

import tyro

from immiscible_diffusion.cli.analyse import QUESTIONS, analyse
from immiscible_diffusion.cli.bench import bench
from immiscible_diffusion.cli.compare import compare
from immiscible_diffusion.cli.demo import demo
from immiscible_diffusion.cli.doctor import doctor
from immiscible_diffusion.cli.edit import edit
from immiscible_diffusion.cli.evaluate import evaluate
from immiscible_diffusion.cli.evidence import evidence
from immiscible_diffusion.cli.export import export
from immiscible_diffusion.cli.fit import fit
from immiscible_diffusion.cli.gallery import gallery
from immiscible_diffusion.cli.run import run
from immiscible_diffusion.cli.sample import sample
from immiscible_diffusion.cli.scripts import split_at_script
from immiscible_diffusion.cli.train import train
from immiscible_diffusion.pairing.suggestions import unknown

DESCRIPTION = "Train diffusion and flow models in fewer steps by pairing each image with a noise near it."
COMMANDS: dict[str, Callable[..., None]] = {
    "train": train,
    "fit": fit,
    "sample": sample,
    "evaluate": evaluate,
    "edit": edit,
    "export": export,
    "compare": compare,
    "demo": demo,
    "evidence": evidence,
    "analyse": analyse,
    "gallery": gallery,
    "bench": bench,
    "run": run,
    "doctor": doctor,
}
# Commands that run a script: what stands behind its name is the script's.
SCRIPTED = ("run", "doctor")


def main() -> None:
    """Train, sample, evaluate and compare diffusion and flow models under several pairings."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.formatwarning = lambda message, *rest, **named: f"warning: {message}\n"
    try:
        words, commands = sys.argv[1:], dict(COMMANDS)
        _check_names(words)
        if words and words[0] in SCRIPTED:
            words, theirs = split_at_script(words)
            commands[words[0]] = functools.partial(COMMANDS[words[0]], arguments=tuple(theirs))
        tyro.extras.subcommand_cli_from_dict(
            commands,  # type: ignore[arg-type]
            prog="immiscible",
            description=DESCRIPTION,
            args=words,
        )
    except (ValueError, TypeError, OSError, ArithmeticError) as error:
        if os.environ.get("IMMISCIBLE_TRACEBACK"):
            raise
        rank, size = os.environ.get("RANK"), os.environ.get("WORLD_SIZE", "1")
        which = f"process {rank} of {size}: " if rank and size != "1" else ""
        print(f"error: {which}{error}", file=sys.stderr)
        print("(IMMISCIBLE_TRACEBACK=1 shows where.)", file=sys.stderr)
        raise SystemExit(2) from None


def _check_names(words: list[str]) -> None:
    """Raise ValueError for a command or question that is not there, with the nearest that is."""
    if words and words[0].isalpha() and words[0] not in COMMANDS:
        raise ValueError(unknown("command", words[0], COMMANDS))
    if words[:1] == ["analyse"] and len(words) > 1 and words[1][0] != "-" and words[1] not in QUESTIONS:
        raise ValueError(unknown("question", words[1], QUESTIONS))
