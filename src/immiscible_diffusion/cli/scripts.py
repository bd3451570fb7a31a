"""Running somebody's training script inside `paired_noise`."""

import runpy
import sys
import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from immiscible_diffusion.interception import Interception
    from immiscible_diffusion.pairing import Pairing


def split_at_script(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Divide a command line behind the script's name: ours, and what the script is to be given."""
    for index, word in enumerate(words):
        if word.endswith(".py"):
            return list(words[: index + 1]), list(words[index + 1 :])
    return list(words), []


def run_script(
    script: Path, arguments: Sequence[str], context: "AbstractContextManager[Interception]"
) -> tuple["Interception", int]:
    """Run a script as `python script arguments` would, and say what was found and how it ended.

    Its own errors are printed as Python prints them. Raises ValueError where the line to pair is not clear.
    """
    from immiscible_diffusion.interception import ambiguous

    before = sys.argv, sys.path[:]
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.resolve().parent))
    status = 0
    try:
        with context as record:
            try:
                runpy.run_path(str(script), run_name="__main__")
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
                if status and isinstance(ended.code, str):
                    print(ended.code, file=sys.stderr)
            except KeyboardInterrupt:
                status = 130
            except Exception as error:
                if ambiguous(error):
                    raise
                traceback.print_exc()
                status = 1
    finally:
        sys.argv, sys.path[:] = before
    return record, status


def check_script(script: Path) -> None:
    """Raise FileNotFoundError or ValueError for what cannot be run."""
    if script.suffix != ".py":
        raise ValueError(f"script must be a .py file, got {str(script)!r}")
    if not script.is_file():
        raise FileNotFoundError(f"no script {str(script)!r}")


def chosen_pairing(pairing: str, k: float | None, rule: str | None, centre: Path | None) -> "Pairing":
    """Build a pairing from its name or its parts. Without a centre's file, nearest noise is uncentred.

    Raises ValueError as `pairing_from_name` does.
    """
    from immiscible_diffusion.diagnosis import read_tensors
    from immiscible_diffusion.pairing import pairing_from_name

    name = ":".join(str(part) for part in (pairing, k, rule) if part is not None)
    mean: torch.Tensor | None = None
    if centre is not None:
        mean = read_tensors(centre)["clean"]
    options = name.lower().split(":")[1:]
    if options[:1] != ["within"] and name.lower().startswith("nearest") and mean is None:
        if "centred" in options:
            raise ValueError(f"pairing {name!r} is centred: give the mean image with --centre FILE")
        if not {"uncentred", "batch"} & set(options):
            name += ":uncentred"
    return pairing_from_name(name, mean)
