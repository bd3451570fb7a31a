"""Semidiscrete couplings of data sets: fitted once, kept on disk, found again by the data's fingerprint."""

import hashlib
import json
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from immiscible_diffusion.atomic_files import write_text
from immiscible_diffusion.data.images import ImageData, to_clean
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.kept_tensors import cache_folder, checksum, keep_tensors, kept_tensors
from immiscible_diffusion.pairing.dual_fitting import NOISES, Duals, begin_fit, fit_step
from immiscible_diffusion.pairing.semidiscrete import PER_IMAGE, Pool, Semidiscrete, begin_pool, pool_step
from immiscible_diffusion.randomness import generator_for

logger = logging.getLogger(__name__)

VERSION = 1
SEED = 0  # of the fit; one coupling serves the runs of every seed
# Multiplications and additions of a fit that a run does by itself: about half a minute on one core.
AT_ONCE = 1e12


@dataclass(frozen=True, eq=False)
class Coupling:
    """A fit under way or finished: `duals` first, then `pool`."""

    duals: Duals
    pool: Pool

    @property
    def finished(self) -> bool:
        return self.duals.step == self.duals.steps and self.pool.full

    @property
    def relative_error(self) -> float:
        """Of the images' masses, root mean square, on noise that the fit had not seen."""
        return math.sqrt(max(0.0, self.pool.excess(self.duals.counts)))


def coupling_path(data: ImageData, flip: bool) -> Path:
    """Say which file holds the coupling of a data set, mirrored or not. It does not depend on the scale."""
    key = hashlib.sha256(f"{VERSION}/{flip}/{data.fingerprint}".encode()).hexdigest()[:16]
    return cache_folder() / f"duals-{key}.safetensors"


def fitting(
    data: ImageData, flip: bool, *, noises: int = NOISES, per_image: int = PER_IMAGE, device: str = "cpu"
) -> Iterator[Coupling]:
    """Fit the coupling of a data set, yielding after every step; goes on from what `keep_coupling` kept.

    noises, per_image: as in `fit_semidiscrete`; other numbers than the kept ones begin anew.
    """
    duals = begin_fit(_clean(data, flip, 0.5).to(device), noises)
    begun = Coupling(duals, begin_pool(duals, per_image))
    coupling = kept_coupling(data, flip, begun) or begun
    yield coupling
    while not coupling.finished:
        duals = coupling.duals
        if duals.step < duals.steps:
            generator = generator_for(SEED, "duals", duals.step, device=device)
            coupling = replace(coupling, duals=fit_step(duals, generator))
        else:
            coupling = replace(coupling, pool=pool_step(coupling.pool, duals))
        yield coupling


def keep_coupling(coupling: Coupling, data: ImageData, flip: bool) -> None:
    """Keep a coupling, finished or not. Raises OSError where its folder cannot be written."""
    duals, pool = coupling.duals, coupling.pool
    tensors = {
        "values": duals.values,
        "current": duals.current,
        "numbers": pool.numbers,
        "received": pool.received,
    }
    record = {
        "version": VERSION,
        "fingerprint": data.fingerprint,
        "flip": flip,
        "step": duals.step,
        "steps": duals.steps,
        "drawn": pool.drawn,
    }
    keep_tensors(
        coupling_path(data, flip),
        {name: tensor.cpu() for name, tensor in tensors.items()},
        {"record": json.dumps(record)},
    )


def kept_coupling(data: ImageData, flip: bool, begun: Coupling | None = None) -> Coupling | None:
    """Read what was kept of a data set's coupling, finished or not; None where nothing (whole) was.

    begun: the fit that is to go on, where its numbers of noises have to be the kept ones.
    """
    path = coupling_path(data, flip)
    if not path.exists():
        return None
    try:
        tensors, metadata = kept_tensors(path)
        record = json.loads(metadata["record"])
        before = (record["version"], record["fingerprint"], record["flip"])
        if before != (VERSION, data.fingerprint, flip):
            raise ValueError("it was made for other data")
        duals = begun.duals if begun else begin_fit(_clean(data, flip, 0.5))
        if begun and (record["steps"], tensors["numbers"].shape) != (duals.steps, begun.pool.numbers.shape):
            return None
        if len(tensors["values"]) != len(duals.images):
            raise ValueError("it holds another number of images")
        place = duals.images.device
        duals = replace(
            duals,
            values=tensors["values"].to(place),
            current=tensors["current"].to(place),
            step=record["step"],
            steps=record["steps"],
        )
        return Coupling(duals, Pool(tensors["numbers"], tensors["received"], record["drawn"]))
    except (KeyError, TypeError, ValueError) as error:
        logger.warning("the coupling kept at %s is damaged (%s); fitting it again", path, error)
        return None


def semidiscrete_of(experiment: Experiment, data: ImageData) -> Semidiscrete:
    """The data set's semidiscrete pairing, as kept; a small one is fitted here and now.

    Raises ValueError where there is none and fitting it would take more than about half a minute.
    """
    coupling = kept_coupling(data, experiment.flip)
    if coupling is None or not coupling.finished:
        count = len(data.pixels) * (2 if experiment.flip else 1)
        work = 2 * (NOISES + 2 * PER_IMAGE) * count**2 * data.pixels[0].numel()
        if work > AT_ONCE:
            raise ValueError(
                f"pairing 'semidiscrete' has not been fitted to these {count:,} images, and that takes about "
                f"{work / 1e12:,.0f} trillion multiplications and additions (a minute on one core does 2 to "
                f"4); run `immiscible fit {experiment.name}` with the same data settings first"
            )
        logger.warning("fitting the semidiscrete coupling to %s, once (about half a minute)", data.name)
        *_, coupling = fitting(data, experiment.flip)
        try:
            keep_coupling(coupling, data, experiment.flip)
        except OSError as error:
            logger.warning("cannot keep the coupling (%s); it will be fitted again next time", error)
    scaled = coupling.duals.images * (experiment.image_std / 0.5)
    return Semidiscrete(scaled, coupling.pool.numbers)


def check_same_coupling(folder: Path, pairing: Semidiscrete, write: bool) -> None:
    """Note in a run's folder which coupling it trains with; raises ValueError where it began with another."""
    file, now = folder / "coupling.json", checksum({"numbers": pairing.numbers})
    if not file.exists():
        if write:
            write_text(file, json.dumps({"numbers": now}) + "\n")
    elif (before := json.loads(file.read_text())["numbers"]) != now:
        raise ValueError(
            f"run {str(folder)!r} began with another semidiscrete coupling ({before[:12]}, now {now[:12]}): "
            "it has been fitted again since; fit it as it was then, or choose another --out"
        )


def _clean(data: ImageData, flip: bool, image_std: float) -> Tensor:
    """The images that training shows, mirror images among them where it flips."""
    pixels = torch.cat([data.pixels, data.pixels.flip(-1)]) if flip else data.pixels
    return to_clean(pixels, image_std)
