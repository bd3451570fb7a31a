"""The examination itself: measures on the tensors of a training step, and the verdict."""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from immiscible_diffusion.diagnosis.mixture import Mixture, mixture
from immiscible_diffusion.diagnosis.selection import (
    Images,
    agreement_in_half,
    change,
    equivalent_k,
    images_of,
    mean_and_error,
    predicted_change,
)
from immiscible_diffusion.diagnosis.verdicts import Measured, verdict
from immiscible_diffusion.diagnosis.wording import lines
from immiscible_diffusion.pairing import Independent, Nearest, Pairing
from immiscible_diffusion.pairing.checks import check_clean, mask_rows

TIMED = 9
TIMED_SECONDS = 2.0
USUAL_K = 8


@dataclass(frozen=True)
class Diagnosis:
    """What was measured; `print` gives its ten lines. None: it was not given, or could not be measured.

    change_percent ± standard_error: mean image-noise distance against independent noise. predicted_percent:
    what the pairing should give. equivalent_k: whose nearest noise is as near. energy ± energy_error:
    ‖noise‖²/D. brightness ± brightness_error: mean of the noise's elements. along_mean ± along_error: the
    noise's component along the mean image, in standard deviations of a draw. milliseconds: what pairing a
    batch takes; ratio: to `torch.randn_like`.
    """

    rows: int
    left_out: int
    shape: tuple[int, ...]
    dtypes: tuple[str, ...]
    pairing: str
    change_percent: float
    standard_error: float
    predicted_percent: float | None
    equivalent_k: float
    candidates: int
    float16_agreement: float | None
    bfloat16_agreement: float | None
    target: Mixture | None
    noisy: Mixture | None
    energy: float
    energy_error: float
    brightness: float
    brightness_error: float
    along_mean: float
    along_error: float
    milliseconds: float | None
    ratio: float | None
    batch_size: int
    healthy: bool
    verdict: str

    def __str__(self) -> str:
        return "\n".join(lines(self))


@torch.no_grad()
def diagnose(
    clean: Tensor,
    noise: Tensor | None = None,
    target: Tensor | None = None,
    noisy: Tensor | None = None,
    *,
    pairing: Pairing | None = None,
    mask: Tensor | None = None,
    batch_size: int | None = None,
    seed: int = 0,
) -> Diagnosis:
    """Say whether `noise` was selected for `clean`, and whether target and noisy images are made of it.

    clean: [N, ...], as the network sees them. noise: as it was drawn, before any offset or perturbation;
        None draws it with `pairing`. target: what the loss compares with; noisy: the network's input.
    pairing: whose closed form and cost to compare with. mask: as in `Pairing`; rows with padding are left
        out. batch_size: of a training step, by default all rows; assignments depend on it.
    seed: of what is drawn here; torch's own generator is left alone.
    Nothing of a time or schedule is needed: target and noisy are taken apart by least squares.
    Raises ValueError where shapes differ, where there is neither noise nor pairing, and for D = 1.
    """
    check_clean(clean, None)
    generator = torch.Generator(clean.device).manual_seed(seed)
    size = min(batch_size or len(clean), len(clean))
    given = {"noise": noise, "target": target, "noisy": noisy}
    _check(clean, given, pairing)
    whole = _whole_rows(clean, mask)
    clean = clean[whole]
    noise, target, noisy = (None if one is None else one[whole] for one in given.values())
    if noise is None:
        assert pairing is not None
        noise = _paired(clean, pairing, size, generator)
    seen = images_of(clean.cpu(), pairing)
    drawn = noise.cpu().flatten(1).double()
    measured, error = change(seen, drawn)
    generator_cpu = torch.Generator().manual_seed(seed)
    predicted = _predicted(seen, clean, pairing, size, generator)
    k = max(2, round(pairing.k)) if isinstance(pairing, Nearest) else USUAL_K
    found = {
        name: None if one is None else mixture(one.cpu().flatten(1).double(), drawn, seen.rows)
        for name, one in (("target", target), ("noisy", noisy))
    }
    # The mean image's direction; of few images it is mostly chance, but the noise knows that too.
    middle = seen.rows.mean(0)
    along = drawn @ middle / middle.norm().clamp(min=1e-12)
    milliseconds, ratio = (None, None) if pairing is None else _cost(clean[:size], pairing, generator)
    healthy, said = verdict(
        Measured(measured, error, predicted, isinstance(pairing, Independent), len(clean), size),
        found["target"],
        found["noisy"],
    )
    halves = [
        agreement_in_half(seen.chosen_against, k, dtype, generator_cpu)
        for dtype in (torch.float16, torch.bfloat16)
    ]
    return Diagnosis(
        rows=len(clean),
        left_out=int((~whole).sum()),
        shape=tuple(clean.shape[1:]),
        dtypes=(str(clean.dtype).removeprefix("torch."), str(noise.dtype).removeprefix("torch.")),
        pairing="" if pairing is None else repr(pairing),
        change_percent=measured,
        standard_error=error,
        predicted_percent=predicted,
        equivalent_k=equivalent_k(seen, measured),
        candidates=k,
        float16_agreement=halves[0],
        bfloat16_agreement=halves[1],
        target=found["target"],
        noisy=found["noisy"],
        **dict(zip(("energy", "energy_error"), mean_and_error(drawn.square().mean(1)), strict=True)),
        **dict(zip(("brightness", "brightness_error"), mean_and_error(drawn.mean(1)), strict=True)),
        **dict(zip(("along_mean", "along_error"), mean_and_error(along), strict=True)),
        milliseconds=milliseconds,
        ratio=ratio,
        batch_size=size,
        healthy=healthy,
        verdict=said,
    )


def _check(clean: Tensor, given: dict[str, Tensor | None], pairing: Pairing | None) -> None:
    if given["noise"] is None and pairing is None:
        raise ValueError("noise or pairing must be given; pass the step's noise, or pairing=Nearest(k=8)")
    if given["noise"] is None and (given["target"] is not None or given["noisy"] is not None):
        raise ValueError(
            "noise must be given where target or noisy is: pass the noise that they were made of"
        )
    if len(clean) < 2 or clean[0].numel() < 2:
        raise ValueError(
            f"clean must have 2 or more rows of 2 or more numbers, got shape {tuple(clean.shape)}"
        )
    for name, one in {"clean": clean, **given}.items():
        if one is None:
            continue
        if one.shape != clean.shape:
            raise ValueError(
                f"{name} has shape {tuple(one.shape)}, clean has {tuple(clean.shape)}; rows must agree"
            )
        if not one.is_floating_point():
            raise ValueError(f"{name} must be floats, got {one.dtype}; pass it as the network sees it")
        if not bool(torch.isfinite(one).all()):
            raise ValueError(f"{name} has a NaN or infinite value; leave out or repair these rows")


def _whole_rows(clean: Tensor, mask: Tensor | None) -> Tensor:
    counts = mask_rows(mask, clean)
    if counts is None:
        return torch.ones(len(clean), dtype=torch.bool, device=clean.device)
    whole = counts.all(dim=1)
    if int(whole.sum()) < 2:
        raise ValueError("mask leaves fewer than 2 rows without padding; pass more rows")
    return whole


def _paired(clean: Tensor, pairing: Pairing, size: int, generator: torch.Generator) -> Tensor:
    """Noise in batches of about `size`, none of them left with a row or two."""
    batches = clean.tensor_split(max(1, round(len(clean) / size)))
    return torch.cat([pairing(batch, generator=generator) for batch in batches])


def _predicted(
    seen: Images, clean: Tensor, pairing: Pairing | None, size: int, generator: torch.Generator
) -> float | None:
    """By the closed form where there is one, else by pairing these images once more."""
    if pairing is None:
        return None
    if isinstance(pairing, Independent):
        return 0.0
    if isinstance(pairing, Nearest) and pairing.chooses_on_images:
        return predicted_change(seen, pairing.k, pairing.rule)
    again = _paired(clean, pairing, size, generator)
    return change(seen, again.cpu().flatten(1).double())[0]


def _cost(clean: Tensor, pairing: Pairing, generator: torch.Generator) -> tuple[float, float]:
    """Milliseconds of pairing a batch, and the ratio to drawing it; medians, in turns."""

    def seconds(draw: Callable[[], Tensor]) -> float:
        if clean.is_cuda:
            torch.cuda.synchronize()
        begun = time.perf_counter()
        draw()
        if clean.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    paired: list[float] = []
    plain: list[float] = []
    begun = time.perf_counter()
    while len(paired) < TIMED and (len(paired) < 2 or time.perf_counter() - begun < TIMED_SECONDS):
        paired.append(seconds(lambda: pairing(clean, generator=generator)))
        plain.append(seconds(lambda: torch.randn(clean.shape, generator=generator, device=clean.device)))
    middle = statistics.median(paired)
    return 1000 * middle, middle / max(statistics.median(plain), math.ulp(1.0))
