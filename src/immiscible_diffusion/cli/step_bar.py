"""The bar that shows how far training is."""

import sys
from typing import Any


def step_bar(total: int, first: int, *, shown: bool = True) -> Any:
    """Make a tqdm bar of `total` steps on standard error, `first` of them done."""
    from tqdm import tqdm

    return tqdm(
        total=total,
        initial=first,
        unit="step",
        disable=not shown,
        file=sys.stderr,
        smoothing=0.05,
        mininterval=1.0,
    )
