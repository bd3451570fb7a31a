"""The comparisons that the evidence consists of, a file a data set."""

from collections.abc import Sequence

from immiscible_diffusion.evidence.listed import cifar10, digits, fashion_mnist
from immiscible_diffusion.evidence.listed.entry import Listed
from immiscible_diffusion.pairing.suggestions import unknown

__all__ = ["Listed", "chosen_comparisons", "listed_comparisons"]


def listed_comparisons() -> tuple[Listed, ...]:
    """Every comparison of the evidence, those of the shortest runs first."""
    return digits.comparisons() + fashion_mnist.comparisons() + cifar10.comparisons()


def chosen_comparisons(names: Sequence[str]) -> tuple[Listed, ...]:
    """The comparisons of these names, or all; ValueError for an unknown one."""
    listed = {one.name: one for one in listed_comparisons()}
    for name in names:
        if name not in listed:
            raise ValueError(unknown("comparison", name, listed))
    return tuple(listed[name] for name in names or listed)
