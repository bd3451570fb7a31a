"""One assignment over the batches of all processes: a pool as large as the whole step, not one rank's share.

Every rank draws its own noise; all noises go to all ranks, each of which costs its own images against
them, so the matrix product is shared out; rank 0 solves once and sends everyone their columns.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from immiscible_diffusion.pairing.assigned import Assigned, assignment_cost
from immiscible_diffusion.pairing.checks import check_clean, mask_rows
from immiscible_diffusion.pairing.independent import gaussian_like
from immiscible_diffusion.pairing.solvers import solve


@dataclass(frozen=True)
class AcrossRanks:
    """`Assigned` over the batches of all ranks of a process group; every rank must call it equally often.

    assigned: says which solver. group: a `torch.distributed` process group (gloo or NCCL), the default one
    where None. Give it a group of its own (`torch.distributed.new_group()`) where it runs in the background:
    collectives of one group must not overtake each other.
    Ranks with images of different shapes or dtypes are pooled apart; batch sizes may differ. Rank r's rows
    come from the noise that all ranks drew; its own generator must differ from the others'.
    Raises RuntimeError without a process group, and on every rank where one rank's images are refused.
    """

    assigned: Assigned = field(default_factory=Assigned)
    group: Any = None

    @torch.no_grad()
    def __call__(
        self,
        clean: Tensor,
        *,
        generator: torch.Generator | None = None,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Draw noise for `clean` [B, ...]; see `Pairing`."""
        if not dist.is_initialized():
            raise RuntimeError(
                "AcrossRanks needs torch.distributed: call torch.distributed.init_process_group first, "
                "or use Assigned() in a single process"
            )
        # A rank that raised alone would leave the others waiting.
        refusal = _refusal(clean, generator, mask)
        ranks = self._exchange(None if refusal else (tuple(clean.shape), clean.dtype), refusal)
        noise = gaussian_like(clean, generator).to(clean.dtype)  # [B, ...]
        me = dist.get_rank(self.group)
        pool = [
            rank
            for rank, kind in enumerate(ranks)
            if kind[0][1:] == ranks[me][0][1:] and kind[1] == clean.dtype
        ]
        noises = self._all_noises(noise, ranks)
        pooled = torch.cat([noises[rank].view(ranks[rank][0]) for rank in pool])  # [N, ...]
        cost = assignment_cost(clean, pooled, mask_rows(mask, clean))  # [B, N]
        return pooled[self._solved(cost, ranks)]

    def _exchange(self, kind: Any, refusal: str | None) -> list[tuple[tuple[int, ...], torch.dtype]]:
        """What every rank has; raises everywhere if it was refused anywhere."""
        answers: list[Any] = [None] * dist.get_world_size(self.group)
        dist.all_gather_object(answers, (kind, refusal), group=self.group)
        for rank, (_, why) in enumerate(answers):
            if why:
                raise RuntimeError(f"rank {rank} cannot pair its batch: {why}")
        return [kind for kind, _ in answers]

    def _all_noises(self, noise: Tensor, ranks: list[tuple[tuple[int, ...], torch.dtype]]) -> list[Tensor]:
        """Every rank's noise in the dtype it has there, flat; sent as bytes, padded to the longest."""
        lengths = [torch.Size(shape).numel() * dtype.itemsize for shape, dtype in ranks]
        sent = torch.zeros(max(lengths), dtype=torch.uint8, device=noise.device)
        own = noise.contiguous().flatten().view(torch.uint8)
        sent[: len(own)] = own
        received = [torch.empty_like(sent) for _ in ranks]
        dist.all_gather(received, sent, group=self.group)
        return [
            buffer[:length].view(dtype)
            for buffer, length, (_, dtype) in zip(received, lengths, ranks, strict=True)
        ]

    def _solved(self, cost: Tensor, ranks: list[tuple[tuple[int, ...], torch.dtype]]) -> Tensor:
        """The columns of this rank's rows, from the one solution of all ranks' rows."""
        me, world = dist.get_rank(self.group), len(ranks)
        root = dist.get_global_rank(self.group, 0) if self.group is not None else 0
        rows = [shape[0] for shape, _ in ranks]
        pools: dict[Any, list[int]] = {}
        for rank, (shape, dtype) in enumerate(ranks):
            pools.setdefault((shape[1:], dtype), []).append(rank)
        widths = [sum(rows[other] for other in pools[shape[1:], dtype]) for shape, dtype in ranks]
        longest = max(count * width for count, width in zip(rows, widths, strict=True))
        sent = torch.zeros(longest, dtype=torch.float64, device=cost.device)
        sent[: cost.numel()] = cost.double().flatten()
        gathered = [torch.empty_like(sent) for _ in range(world)] if me == 0 else None
        dist.gather(sent, gathered, dst=root, group=self.group)
        columns = [torch.zeros(max(rows), dtype=torch.int64, device=cost.device) for _ in range(world)]
        if gathered is not None:
            for members in pools.values():
                parts = [
                    gathered[rank][: rows[rank] * widths[rank]].view(rows[rank], widths[rank])
                    for rank in members
                ]
                whole = torch.cat(parts).to(cost.dtype).cpu().numpy()
                found = torch.from_numpy(solve(whole, self.assigned.solver))
                for rank, part in zip(members, found.split([rows[rank] for rank in members]), strict=True):
                    columns[rank][: rows[rank]] = part
        own = torch.empty(max(rows), dtype=torch.int64, device=cost.device)
        dist.scatter(own, columns if me == 0 else None, src=root, group=self.group)
        return own[: rows[me]]


def _refusal(clean: Tensor, generator: torch.Generator | None, mask: Tensor | None) -> str | None:
    """Why this rank cannot go on, if it cannot."""
    try:
        check_clean(clean, generator)
        mask_rows(mask, clean)
        if not bool(torch.isfinite(clean).all()):
            return "clean has a NaN or infinite value; remove or repair these images"
    except (TypeError, ValueError) as error:
        return str(error)
    return None
