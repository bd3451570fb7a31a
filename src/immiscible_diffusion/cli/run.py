"""`immiscible run`: an unmodified training script, with the noise of its training step paired."""

from pathlib import Path
from typing import Annotated

import tyro

from immiscible_diffusion.cli.scripts import check_script, chosen_pairing, run_script


def run(
    script: Annotated[Path, tyro.conf.Positional],
    pairing: str = "nearest",
    k: float | None = None,
    rule: str | None = None,
    centre: Path | None = None,
    at: str | None = None,
    arguments: tyro.conf.Suppress[tuple[str, ...]] = (),
) -> None:
    """Run a training script with its noise paired: `immiscible run --pairing nearest --k 8 train.py ...`.

    The one line that draws the training step's noise is found while the script runs; everything behind the
    script's name is the script's. Ends with what was paired, where, and a diagnosis. Exit code: the script's
    own, or 1 where nothing was paired.

    Args:
        script: The script, a .py file.
        pairing: nearest, assigned or independent; or in short, such as nearest:8:dot.
        k: Candidate noises an image, for nearest.
        rule: Which candidate nearest keeps: l2 (least distance, the paper's) or dot (largest inner product).
        centre: A file (.pt, .safetensors or .npy) of the data's mean image, which nearest then subtracts
            before choosing; without it nearest is not centred.
        at: FILE:LINE of the draw to pair, where it is not found or there is more than one.
        arguments: Filled from behind the script's name.
    """
    import sys

    check_script(script)
    chosen = chosen_pairing(pairing, k, rule, centre)

    from immiscible_diffusion.interception import paired_noise

    record, status = run_script(script, arguments, paired_noise(chosen, at=at))
    print(record, file=sys.stderr)
    if record.rows > 1:
        print(record.diagnose(), file=sys.stderr)
    if status or record.place is None:
        raise SystemExit(status or 1)
