"""What was found and replaced while a script ran."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from immiscible_diffusion.diagnosis import Diagnosis, diagnose
from immiscible_diffusion.interception.places import Place
from immiscible_diffusion.pairing import Pairing

KEPT_ROWS = 2_048
KEPT_NUMBERS = 2**23  # float32 each of images, noise and target: 32 MB


@dataclass
class Sighting:
    """Draws of noise at one place that were left as they were."""

    place: Place
    shape: tuple[int, ...]
    reason: str
    times: int = 0


@dataclass
class Drawn:
    """One batch, as it was when it was paired."""

    clean: Tensor
    noise: Tensor
    target: Tensor | None = None


@dataclass
class Interception:
    """The record of `paired_noise`; it grows while the script runs.

    place: the line whose noise is replaced, None where none was found (yet). times: draws replaced there.
    passed_by: noise that was drawn elsewhere, with the reason why it was left alone.
    """

    pairing: Pairing | None
    place: Place | None = None
    times: int = 0
    shape: tuple[int, ...] = ()
    passed_by: dict[tuple[Place, str], Sighting] = field(default_factory=dict)
    drawn: list[Drawn] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Images that were kept for a diagnosis."""
        return sum(len(batch.clean) for batch in self.drawn)

    @property
    def full(self) -> bool:
        """Whether enough rows are kept."""
        numbers = sum(batch.clean.numel() for batch in self.drawn)
        return self.rows >= KEPT_ROWS or numbers >= KEPT_NUMBERS

    def diagnose(self) -> Diagnosis | None:
        """Examine the first rows that were paired; None where nothing was.

        Raises ValueError as `diagnosis.diagnose` does.
        """
        kept = [batch for batch in self.drawn if batch.clean.shape[1:] == self.drawn[0].clean.shape[1:]]
        if not kept:
            return None
        targets = [batch.target for batch in kept if batch.target is not None]
        return diagnose(
            torch.cat([batch.clean for batch in kept]),
            torch.cat([batch.noise for batch in kept]),
            target=torch.cat(targets) if len(targets) == len(kept) else None,
            pairing=self.pairing,
            batch_size=len(kept[0].clean),
        )

    def __str__(self) -> str:
        seen = [
            f"  left alone: {one.times:,}× {list(one.shape)} at {one.place} ({one.reason})"
            for one in self.passed_by.values()
        ]
        if self.place is None:
            begun = "found no place where the training step draws its noise: nothing was paired"
            hints = (
                "name the line with --at FILE:LINE" if seen else "none was drawn by torch.randn_like(images)"
            )
            hints += " (paired_noise(at=...)), or change that line by hand: noise = pairing(images)"
            return "\n".join([f"pairing: {begun}", *seen, f"  {hints}"])
        did = "paired" if self.pairing is not None else "watched"
        line = f"pairing: {did} {self.times:,} draws of noise {list(self.shape)} at {self.place}"
        return "\n".join([line, *seen])
