"""What is timed: ours, and the ways that others pair, written as they write them."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from immiscible_diffusion.pairing import Above, Assigned, Nearest, Pairing
from immiscible_diffusion.pairing.nearest import Rule

Draw = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Method:
    """One way to get the noise of a batch.

    name: as the table shows it. draw: the noise of a batch. copies: batches that it holds in memory, roughly.
    square: whether it also holds a matrix of batch × batch. unavailable: why it cannot run here, or "".
    """

    name: str
    draw: Draw
    copies: int = 3
    square: bool = False
    unavailable: str = ""


def methods(device: torch.device) -> tuple[Method, ...]:
    """Everything that is compared on a device, the yardstick first."""
    return (
        Method("randn_like", _plain, copies=2),
        *(_ours(f"Nearest k={k}", Nearest(k=k)) for k in (8, 64, 4096)),
        Method("Nearest k=8, centred", _centred(8), copies=3),
        Method("Nearest k=64 by dot, above a level", _above_a_level(64), copies=4),
        Method("Nearest k=8, fused", _called(Nearest(k=8, fused=True)), unavailable=_no_kernel(device)),
        Method("Nearest k=64, fused", _called(Nearest(k=64, fused=True)), unavailable=_no_kernel(device)),
        Method("Assigned", _called(Assigned()), square=True),
        Method("Assigned, blocks of 1024", _called(Assigned(block=1024))),
        Method("Algorithm 1, k=8, fp32", _algorithm_1(8, torch.float32), copies=18),
        Method("Algorithm 1, k=8, fp16", _algorithm_1(8, torch.float16), copies=18),
        Method("Algorithm 1, k=64, fp32", _algorithm_1(64, torch.float32), copies=130),
        Method("scipy on Euclidean cdist", _scipy_on_cdist, square=True),
        Method(
            "TorchCFM OT sampler", _torchcfm, square=True, unavailable=_missing("torchcfm") or _missing("ot")
        ),
    )


def _ours(name: str, pairing: Pairing) -> Method:
    return Method(name, _called(pairing))


def _called(pairing: Pairing) -> Draw:
    return lambda clean, generator: pairing(clean, generator=generator)


def _centred(k: int) -> Draw:
    return lambda clean, generator: _nearest_to_centred(clean, k)(clean, generator=generator)


def _above_a_level(k: int) -> Draw:
    """What is advised for one image at a time, on a batch of which every other row's noise is high."""

    def draw(clean: Tensor, generator: torch.Generator) -> Tensor:
        levels = torch.arange(len(clean), device=clean.device) % 2 * 2.0
        above = Above(_nearest_to_centred(clean, k, rule="dot"), 1.0).at(levels)
        return above(clean, generator=generator)

    return draw


def _nearest_to_centred(clean: Tensor, k: int, rule: Rule = "l2") -> Nearest:
    # A stored mean image costs what zeros cost.
    centre = torch.zeros(clean.shape[1:], dtype=clean.dtype, device=clean.device)
    return Nearest(k=k, rule=rule, centre=centre)


def _plain(clean: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(clean.shape, dtype=clean.dtype, device=clean.device, generator=generator)


def _algorithm_1(k: int, precision: torch.dtype) -> Draw:
    """The paper's Algorithm 1 as the authors run it: draw k noises an image, keep the nearest."""

    def draw(clean: Tensor, generator: torch.Generator) -> Tensor:
        noises = torch.randn(
            (len(clean), k, *clean.shape[1:]), dtype=clean.dtype, device=clean.device, generator=generator
        )
        differences = clean.to(precision)[:, None] - noises.to(precision)
        nearest = differences.flatten(2).norm(dim=2).argmin(dim=1)  # [B]
        return noises[torch.arange(len(clean), device=clean.device), nearest]

    return draw


def _scipy_on_cdist(clean: Tensor, generator: torch.Generator) -> Tensor:
    """Linear assignment as the authors run it."""
    noise = _plain(clean, generator)
    distances = torch.cdist(clean.flatten(1), noise.flatten(1))
    columns = linear_sum_assignment(distances.cpu().numpy())[1]
    return noise[torch.from_numpy(columns).to(clean.device)]


def _torchcfm(clean: Tensor, generator: torch.Generator) -> Tensor:
    """TorchCFM's exact sampler: it answers pairs with replacement, images reordered too."""
    from torchcfm.optimal_transport import OTPlanSampler

    noise = _plain(clean, generator)
    drawn, _ = OTPlanSampler(method="exact").sample_plan(noise, clean)
    return torch.as_tensor(drawn)


def _missing(module: str) -> str:
    return "" if importlib.util.find_spec(module) else f"{module} is not installed"


def _no_kernel(device: torch.device) -> str:
    if device.type != "cuda":
        return "no GPU"
    return _missing("triton")
