"""Assignment that cannot see the condition: noises are permuted among rows of one class, or of like prompts.

Plain assignment gives a class the noises that resemble it: the noise alone tells the class (`skew.py`), and
the network may learn to read it there; when sampling, noise is drawn whatever the prompt. Permuted within a
class, the noises stay independent draws from N(0, I) and tell nothing of the class.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from immiscible_diffusion.pairing.assigned import Assigned, assign
from immiscible_diffusion.pairing.blocks import principal_directions
from immiscible_diffusion.pairing.checks import as_rows, check_clean, check_finite, mask_rows, measured
from immiscible_diffusion.pairing.independent import gaussian_like

GROUP = 32  # rows of like prompts: on CIFAR-10 three quarters of what a batch of 256 gains


@dataclass(frozen=True)
class AssignedWithin:
    """`Assigned`, solved apart for every class, or for every group of rows with similar embeddings.

    assigned: says which solver. group: the most rows of a group where the condition is embeddings: fewer tell
        less of the prompt and gain less. Labels make their own groups, however large.
    Called with `condition` always: integer labels [B], or float embeddings [B, ...].
    Raises ValueError for a group under 2.
    """

    assigned: Assigned = field(default_factory=Assigned)
    group: int = GROUP

    def __post_init__(self) -> None:
        if self.group < 2:
            raise ValueError(f"group must be 2 rows or more, got {self.group}; 1 would be independent noise")

    @torch.no_grad()
    def __call__(
        self,
        clean: Tensor,
        *,
        generator: torch.Generator | None = None,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Draw noise for `clean` [B, ...]; see `Pairing`. The rows are those of `Independent`, reordered.

        Raises ValueError where there is no condition, or one that is not [B] integers or [B, ...] floats.
        """
        check_clean(clean, generator)
        groups = condition_groups(condition, len(clean), self.group).to(clean.device)
        counted = mask_rows(mask, clean)
        rows = as_rows(clean)
        measured(rows if counted is None else rows.masked_fill(~counted, 0.0), "clean")  # before any draw
        noise = gaussian_like(clean, generator).to(clean.dtype)
        columns = torch.arange(len(clean), device=clean.device)
        for group in groups.unique():
            (members,) = (groups == group).nonzero(as_tuple=True)
            own = mask if mask is None or len(mask) == 1 else mask[members]
            found = assign(
                clean[members],
                noise[members],
                mask=own,
                solver=self.assigned.solver,
                block=self.assigned.block,
            )
            columns[members] = members[found]
        return noise[columns]


def condition_groups(condition: Any, rows: int, size: int) -> Tensor:
    """Number the group of every row, int64 [B]: its label, or its group of at most `size` similar embeddings.

    Raises ValueError for a condition that is absent, has other rows, or holds a value that is not finite.
    """
    if condition is None:
        raise ValueError(
            "condition is needed to assign within it: pass labels [B] or embeddings [B, ...] "
            "(`immiscible train --class-conditional True`), or use Assigned()"
        )
    if not isinstance(condition, Tensor) or condition.ndim < 1 or len(condition) != rows:
        shape = tuple(condition.shape) if isinstance(condition, Tensor) else type(condition).__name__
        raise ValueError(f"condition must have {rows} rows, one for each of clean's, got {shape}")
    if not condition.is_floating_point():
        if condition.ndim != 1:
            raise ValueError(
                f"condition must be labels [B] or float embeddings, got {tuple(condition.shape)}"
            )
        return condition.long()
    if condition.ndim < 2:
        raise ValueError(f"condition of floats must be embeddings [B, ...], got {tuple(condition.shape)}")
    embeddings = as_rows(condition)
    check_finite(embeddings, embeddings.sum(1), "condition")
    groups = torch.zeros(rows, dtype=torch.int64, device=condition.device)
    for number, members in enumerate(similar_rows(embeddings, size)):
        groups[members] = number
    return groups


def similar_rows(condition: Tensor, size: int) -> list[Tensor]:
    """Group rows of `condition` [B, ...] by likeness, at most `size` each: halve at the median where a group
    varies most, until none is too large. Balanced, and the same for the same input.
    """
    rows = condition.flatten(1).float()
    groups = [torch.arange(len(rows), device=rows.device)]
    while len(groups[0]) > size:
        halves = []
        for group in groups:
            directions = principal_directions(rows[group])
            along = (rows[group] @ directions)[:, -1] if directions.shape[1] else torch.zeros(len(group))
            halves += list(group[along.argsort()].tensor_split(2))
        groups = halves
    return groups
