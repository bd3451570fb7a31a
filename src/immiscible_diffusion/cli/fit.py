"""`immiscible fit`: what the semidiscrete pairing has to know of a data set, once."""

import time
from typing import Annotated

import tyro

from immiscible_diffusion.cli.settings import AS_NAMED, Settings, image_experiment
from immiscible_diffusion.cli.step_bar import step_bar

KEEP_EVERY = 30.0  # seconds


def fit(
    experiment: Annotated[str, tyro.conf.Positional],
    settings: Annotated[Settings, tyro.conf.arg(name="")] = AS_NAMED,
    noises: int = 1000,
    per_image: int = 128,
) -> None:
    """Fit the semidiscrete coupling to an experiment's data, for --pairing semidiscrete.

    It is kept in ~/.cache/immiscible-diffusion (or under $XDG_CACHE_HOME) and serves every run on the same
    images, at any --image-std and --seed. Only the settings that say which images count: --data, --rows,
    --resolution, --image-column, --flip. Ctrl-C keeps what is done; given again, the command goes on.

    Args:
        experiment: digits-, fashion-mnist- or cifar10-, then ddim, edm, flow or consistency.
        settings: Settings that replace the experiment's own.
        noises: Noises an image to fit the duals with; the error of the masses falls with the root of it.
        per_image: Noises kept for each image.
    """
    chosen = image_experiment(experiment, settings)

    import torch

    from immiscible_diffusion.couplings import coupling_path, fitting, keep_coupling
    from immiscible_diffusion.runs.folder import load_data
    from immiscible_diffusion.runs.interruption import stop_requests

    data = load_data(chosen)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    path = coupling_path(data, chosen.flip)
    path.parent.mkdir(parents=True, exist_ok=True)
    print(f"{chosen.name}: fitting to {len(data.pixels):,} images on {device}, kept in {path}", flush=True)
    steps = fitting(data, chosen.flip, noises=noises, per_image=per_image, device=device)
    coupling = next(steps)
    if coupling.finished:
        print("Fitted before.")
    elif coupling.duals.step:
        print(f"Going on from step {coupling.duals.step:,} of {coupling.duals.steps:,}")
    kept, begun = time.monotonic(), coupling
    with (
        stop_requests() as stop,
        step_bar(coupling.duals.steps, coupling.duals.step) as bar,
    ):
        for coupling in steps:
            bar.update(coupling.duals.step - bar.n)
            if coupling.duals.step == coupling.duals.steps:
                cells = coupling.pool.numbers
                bar.set_postfix_str(f"noises kept {float((cells >= 0).float().mean()):.0%}", refresh=False)
            if stop.is_set() or time.monotonic() - kept > KEEP_EVERY:
                keep_coupling(coupling, data, chosen.flip)
                kept = time.monotonic()
            if stop.is_set() and not coupling.finished:
                break
    if not coupling.finished:
        print("\nStopped and kept. Give the same command again to go on.")
        raise SystemExit(130)
    if coupling is not begun:
        keep_coupling(coupling, data, chosen.flip)
    seen, chance = coupling.pool.total_variation(coupling.duals.counts)
    print(
        f"Masses off by {coupling.relative_error:.1%} (root mean square, fresh noise); total variation to "
        f"equal masses {seen:.4f}, of which counting {coupling.pool.drawn:,} noises explains {chance:.4f}.\n"
        f"Next: immiscible train {chosen.name} --pairing semidiscrete"
    )
