"""What a target, or a noisy image, is made of: so much noise, so much image, and a rest that is neither."""

from dataclasses import dataclass

import torch
from torch import Tensor

# Of a row's length: rounding in half precision is less, another row's noise is 1.4.
AGREES = 0.02
# What an offset or a perturbation of 0.1 to 0.3 leaves is less; another row's noise leaves more.
ADDED = 0.5


@dataclass(frozen=True)
class Mixture:
    """a · noise + b · clean, fitted to every row by least squares.

    noise, clean: the mean of a and b over the rows. spread: the largest standard deviation of the two.
    rest: what neither explains, as a share of the whole's length; 0 where it is made of them alone.
    """

    noise: float
    clean: float
    spread: float
    rest: float
    unit: bool  # whether a² + b² = 1 in every row

    @property
    def agrees(self) -> bool:
        """Whether it is made of this noise and these images, and nothing else."""
        return self.rest < AGREES

    @property
    def added(self) -> bool:
        """Whether it has this noise in it, with something small added."""
        return AGREES <= self.rest < ADDED

    @property
    def kind(self) -> str:
        """The target's usual name: epsilon, image, flow, v, or a mixture."""
        fixed = self.spread < AGREES
        for name, noise, clean in (
            ("epsilon", 1, 0),
            ("the image", 0, 1),
            ("flow, noise − clean", 1, -1),
            ("flow, clean − noise", -1, 1),
        ):
            if fixed and abs(self.noise - noise) < 0.05 and abs(self.clean - clean) < 0.05:
                return name
        if self.unit and self.noise > 0 > self.clean:
            return "v"
        return "a mixture that depends on the time"


def mixture(whole: Tensor, noise: Tensor, clean: Tensor) -> Mixture:
    """Fit `whole` [N, D] as a · noise + b · clean, row by row; all float64 [N, D]."""
    basis = torch.stack([noise, clean], dim=2)  # [N, D, 2]
    gram = basis.mT @ basis
    # A black image has no direction; its b is then 0 and not NaN.
    gram = gram + 1e-12 * gram.diagonal(dim1=1, dim2=2).sum(1).clamp(min=1e-30)[:, None, None] * torch.eye(
        2, dtype=gram.dtype, device=gram.device
    )
    found = torch.linalg.solve(gram, basis.mT @ whole[..., None])  # [N, 2, 1]
    rest = (whole - (basis @ found)[..., 0]).norm(dim=1) / whole.norm(dim=1).clamp(min=1e-30)
    shares = found[..., 0]
    deviation = (shares - shares.mean(0)).square().mean(0).sqrt()
    lengths = shares.square().sum(1)
    return Mixture(
        noise=float(shares[:, 0].mean()),
        clean=float(shares[:, 1].mean()),
        spread=float(deviation.max()),
        rest=float(rest.mean()),
        unit=bool(((lengths - 1).abs() < 0.05).all()),
    )
