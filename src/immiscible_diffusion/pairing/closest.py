"""The closest of many Gaussian candidates, without drawing them: O(1) a row, whatever their number.

A candidate noise n of an image x enters Algorithm 1 only through a = ⟨n, x/‖x‖⟩ ~ N(0, 1) and
c = ‖n‖² − a² ~ χ²(D − 1), independent of each other: ‖x − n‖² = ‖x‖² + s with s = a² + c − 2‖x‖a.
Up to `DIRECT` candidates their (a, c) are drawn and compared. Beyond, only those below a threshold t are
drawn, exactly: each candidate "fires" with probability q = E[e^(−θs)] e^(θt) ≤ 1; one that fires is drawn
from the law tilted by e^(−θs), which is again a Gaussian and a χ², and kept with probability e^(θ(s−t)) if
s < t. What is kept has exactly the law of the candidates below t, so if any is kept, the least of them is
the least of all. If none is (about one row in 10^5), the candidates are drawn one by one above t.
"""

import torch
from torch import Tensor

DIRECT = 96  # up to here drawing every candidate is quickest
FIRING = 96  # candidates that fire, on average: some 13 to 20 of them survive


def closest_candidate(
    count: int, norm: Tensor, dimension: Tensor, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Draw (a, c) of the closest of `count` Gaussian candidates to an image, for every row.

    count: candidates, at least 1. norm: ‖x‖, float64 [B]. dimension: D, float64 [B], at least 1.
    Returns a [B], c [B]: the projection on the image's direction and the squared norm of the rest.
    """
    if count <= DIRECT:
        a = _normal((len(norm), count), norm, generator)
        c = _chi_squared((dimension - 1)[:, None].expand_as(a), generator)
        return _least(a, c, _score(a, c, norm))
    tilt, threshold, log_firing = _tilting(count, norm, dimension)
    fired = torch.binomial(torch.full_like(norm, count), log_firing.exp(), generator=generator)
    slots = int(fired.max())
    width = (1 + 2 * tilt).rsqrt()[:, None]
    a = _normal((len(norm), slots), norm, generator) * width + (2 * tilt * norm)[:, None] * width.square()
    c = _chi_squared((dimension - 1)[:, None].expand_as(a), generator) * width.square()
    score = _score(a, c, norm)
    log_uniform = _uniform(a.shape, norm, generator).log()
    kept = (log_uniform < tilt[:, None] * (score - threshold[:, None])) & (score < threshold[:, None])
    kept &= torch.arange(slots, device=norm.device) < fired[:, None]
    a, c = _least(a, c, score.masked_fill(~kept, torch.inf))
    empty = (~kept.any(dim=1)).nonzero()[:, 0]
    if len(empty):
        a[empty], c[empty] = _closest_above(count, norm[empty], dimension[empty], threshold[empty], generator)
    return a, c


def _tilting(count: int, norm: Tensor, dimension: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Choose θ, t and log q for `closest_candidate`; any θ > 0 is exact, these make about `FIRING` fire."""
    target = torch.full_like(norm, count / FIRING).log()
    # ln E[e^(−θs)] = −D/2 ln w + 2θ²‖x‖²/w with w = 1 + 2θ; a Gaussian s would need this θ:
    tilt = (2 * target / (2 * dimension + 4 * norm.square())).sqrt()
    for _ in range(6):  # Newton in ln θ on the rate I(θ) = ln(count / FIRING)
        rate, variance = _rate(tilt, norm, dimension)
        tilt = tilt * ((target - rate) / (tilt.square() * variance)).clamp(-1, 1).exp()
    rate, _ = _rate(tilt, norm, dimension)
    w = 1 + 2 * tilt
    threshold = dimension / w - 4 * norm.square() * tilt * (1 + tilt) / w.square()  # mean of s once tilted
    return tilt, threshold, -rate


def _rate(tilt: Tensor, norm: Tensor, dimension: Tensor) -> tuple[Tensor, Tensor]:
    """I(θ) = −ln E[e^(−θs)] − θt with t the tilted mean of s, and the tilted variance of s."""
    w = 1 + 2 * tilt
    energy = norm.square()
    mean = dimension / w - 4 * energy * tilt * (1 + tilt) / w.square()
    rate = dimension / 2 * w.log() - 2 * tilt.square() * energy / w - tilt * mean
    return rate, 2 * dimension / w.square() + 4 * energy / w.pow(3)


def _closest_above(
    count: int, norm: Tensor, dimension: Tensor, threshold: Tensor, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Draw the closest of `count` candidates given that every one of them scores `threshold` or more."""
    missing = torch.full_like(norm, count)
    best = torch.full_like(norm, torch.inf)
    best_a, best_c = torch.zeros_like(norm), torch.zeros_like(norm)
    while bool((missing > 0).any()):
        a = _normal((len(norm), 4096), norm, generator)
        c = _chi_squared((dimension - 1)[:, None].expand_as(a), generator)
        score = _score(a, c, norm)
        above = score >= threshold[:, None]
        counted = above & (above.cumsum(dim=1) <= missing[:, None])
        missing = missing - counted.sum(dim=1)
        score = score.masked_fill(~counted, torch.inf)
        a, c = _least(a, c, score)
        least = score.amin(dim=1)
        better = least < best
        best_a, best_c = torch.where(better, a, best_a), torch.where(better, c, best_c)
        best = torch.minimum(best, least)
    return best_a, best_c


def _score(a: Tensor, c: Tensor, norm: Tensor) -> Tensor:
    return a.square() + c - 2 * norm[:, None] * a  # ‖x − n‖² − ‖x‖²


def _least(a: Tensor, c: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    index = score.argmin(dim=1, keepdim=True)
    return a.gather(1, index)[:, 0], c.gather(1, index)[:, 0]


def _normal(shape: tuple[int, int], like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(shape, dtype=like.dtype, device=like.device, generator=generator)


def _uniform(shape: torch.Size, like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.rand(shape, dtype=like.dtype, device=like.device, generator=generator)


def _chi_squared(degrees: Tensor, generator: torch.Generator | None) -> Tensor:
    """χ² with `degrees` of freedom, zero where there are none."""
    # torch.distributions.Gamma takes no generator; this is the function it calls.
    drawn = 2 * torch._standard_gamma(degrees.clamp(min=1) / 2, generator=generator)
    return torch.where(degrees > 0, drawn, 0.0)
