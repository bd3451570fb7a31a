"""Reads the command line, and turns errors a user can mend into one line."""

import os
import sys
import warnings
from collections.abc import Callable

import tyro

from immiscible_diffusion.cli.bench import bench
from immiscible_diffusion.cli.compare import compare, demo
from immiscible_diffusion.cli.edit import edit
from immiscible_diffusion.cli.evaluate import evaluate
from immiscible_diffusion.cli.export import export
from immiscible_diffusion.cli.sample import sample
from immiscible_diffusion.cli.train import train
from immiscible_diffusion.pairing.suggestions import unknown

DESCRIPTION = "Train diffusion and flow models in fewer steps by pairing each image with a noise near it."
COMMANDS: dict[str, Callable[..., None]] = {
    "train": train,
    "sample": sample,
    "evaluate": evaluate,
    "edit": edit,
    "export": export,
    "compare": compare,
    "demo": demo,
    "bench": bench,
}


def main() -> None:
    """Train, sample, evaluate and compare diffusion and flow models under several pairings."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        if len(sys.argv) > 1 and sys.argv[1].isalpha() and sys.argv[1] not in COMMANDS:
            raise ValueError(unknown("command", sys.argv[1], COMMANDS))
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS,  # type: ignore[arg-type]
            prog="immiscible",
            description=DESCRIPTION,
        )
    except (ValueError, TypeError, OSError) as error:
        if os.environ.get("IMMISCIBLE_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        print("(IMMISCIBLE_TRACEBACK=1 shows where.)", file=sys.stderr)
        raise SystemExit(2) from None
