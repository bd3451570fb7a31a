"""What a training step is given, and the noise of one step's batch or of several as one pool."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from immiscible_diffusion.objectives import Objective, noise_levels
from immiscible_diffusion.pairing import Above, Pairing
from immiscible_diffusion.pairing.background import in_windows, pair_window
from immiscible_diffusion.randomness import Stream, generator_for


@dataclass(frozen=True)
class Batch:
    """One process's share of a step."""

    clean: Tensor  # [B, C, H, W] at training scale; of a policy, [B, horizon, 2]
    condition: Tensor | None  # int64 [B]; observations [B, steps, D]; embedded prompts [B, tokens, width]
    time: Tensor  # [B] or [B, ...], as the objective draws it
    rows: Tensor  # int64 [B], row numbers in the data set

    def to(self, device: torch.device) -> "Batch":
        """Move what the network is given; times stay, for what looks at them must not wait for a GPU."""
        condition = None if self.condition is None else self.condition.to(device)
        return replace(self, clean=self.clean.to(device), condition=condition)


# (step from 0, rank, processes) -> every n-th row from `rank` on, a function of its arguments
BatchAt = Callable[[int, int, int], Batch]


def noise_of(
    batches: Sequence[Batch], pairing: Pairing, generator: torch.Generator, objective: Objective | None = None
) -> list[Tensor]:
    """Draw and pair the noise of several batches as one pool; their noises [B, ...], in their order.

    objective: whose noise levels a pairing above one is told; without it, it pairs every row.
    """
    inputs = []
    for batch in batches:
        given = {"clean": batch.clean, "condition": batch.condition}
        if objective is not None and isinstance(pairing, Above):
            given["levels"] = noise_levels(objective, batch.time)
        inputs.append(given)
    return pair_window(pairing, inputs, generator)


def paired_batches(
    batch_at: Callable[[int], Batch],
    pairing: Pairing,
    seed: int,
    stream: Stream,
    steps: Iterable[int],
    window: int = 1,
) -> Iterator[tuple[Batch, Tensor]]:
    """Pair batches as training would, with noise of a stream of its own: batch and noise of each step.

    window: steps paired as one pool.
    """
    for together in in_windows(steps, window):
        batches = [batch_at(step) for step in together]
        generator = generator_for(seed, stream, together[0])
        yield from zip(batches, noise_of(batches, pairing, generator), strict=True)
