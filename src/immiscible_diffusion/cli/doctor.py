"""`immiscible doctor`: is noise really being selected?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from immiscible_diffusion.cli.scripts import check_script, chosen_pairing, run_script

if TYPE_CHECKING:
    from immiscible_diffusion.diagnosis import Diagnosis


def doctor(
    subject: Annotated[Path | None, tyro.conf.Positional] = None,
    pairing: str | None = None,
    k: float | None = None,
    rule: str | None = None,
    centre: Path | None = None,
    data: str | None = None,
    image_std: float = 0.5,
    noise: Path | None = None,
    target: Path | None = None,
    noisy: Path | None = None,
    batch_size: int | None = None,
    rows: int = 1024,
    at: str | None = None,
    seed: int = 0,
    arguments: tyro.conf.Suppress[tuple[str, ...]] = (),
) -> None:
    """Say in ten lines whether noise is being selected, on your tensors or your training script.

    Of a script: runs it until enough images went by, with its noise paired if a pairing is named and left
    as it is otherwise. Exit code 0: healthy; 1: not selecting, or not as it should; 2: bad input.

    Args:
        subject: A file of clean images or latents [N, ...] (.pt, .safetensors, .npy, .npz), perhaps with
            noise, target, noisy and mask under these names; or a script, with its arguments behind it.
        pairing: What drew the noise, or is to draw it where there is none: nearest, assigned or independent,
            or in short, such as nearest:8:dot.
        k: Candidate noises an image, for nearest.
        rule: Which candidate nearest keeps: l2 or dot.
        centre: A file of the mean image that nearest subtracts before choosing; "nearest" is uncentred
            without.
        data: Instead of a file, data as `immiscible analyse` takes it, such as digits.
        image_std: Nominal std that the images of --data are scaled to.
        noise: A file of the noise, where it is not in the first.
        target: A file of what the loss compares with.
        noisy: A file of the network's input.
        batch_size: Images of a training step, for pairings that look at the batch and for the cost.
        rows: Images to look at.
        at: FILE:LINE of the script's draw, where it is not found or there is more than one.
        seed: Seed of what is drawn here.
        arguments: Filled from behind a script's name.
    """
    import torch

    if (subject is None) == (data is None):
        raise ValueError("give either a file (tensors or a script) or --data, and not both")
    if rows < 2:
        raise ValueError(f"rows must be 2 or more, got {rows}")
    chosen = None if pairing is None else chosen_pairing(pairing, k, rule, centre)
    if chosen is None and any(one is not None for one in (k, rule, centre)):
        raise ValueError("--k, --rule and --centre belong to a pairing; name it with --pairing nearest")

    from immiscible_diffusion.diagnosis import diagnose, read_tensors

    if subject is not None and subject.suffix == ".py":
        found = _of_script(subject, arguments, chosen, at, rows)
    else:
        if data is not None:
            from immiscible_diffusion.analysis.clean_images import load_clean

            given = {"clean": load_clean(data, rows=rows, image_std=image_std, seed=seed).rows(slice(None))}
        else:
            assert subject is not None
            given = read_tensors(subject)
        for name, file in (("noise", noise), ("target", target), ("noisy", noisy)):
            if file is not None:
                given[name] = read_tensors(file)["clean"]
        if "mask" in given:
            given["mask"] = given["mask"].to(torch.bool)
        cut = {name: value[:rows] for name, value in given.items()}
        found = diagnose(**cut, pairing=chosen, batch_size=batch_size, seed=seed)
    print(found)
    if not found.healthy:
        raise SystemExit(1)


def _of_script(
    script: Path, arguments: tuple[str, ...], pairing: object, at: str | None, rows: int
) -> "Diagnosis":
    from immiscible_diffusion.interception import paired_noise

    check_script(script)
    record, status = run_script(
        script,
        arguments,
        paired_noise(pairing, at=at, stop_after=rows),  # type: ignore[arg-type]
    )
    print(record)
    if status and record.rows < 2:
        raise SystemExit(status)
    found = record.diagnose() if record.rows > 1 else None
    if found is None:
        raise SystemExit(1)
    return found
