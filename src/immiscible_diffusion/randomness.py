"""Random numbers by name: every draw is a function of (seed, stream, step, rank); nothing to save."""

import hashlib
from typing import Literal

import torch

Stream = Literal[
    "weights",
    "order",
    "flip",
    "time",
    "noise",
    "dropout",
    "samples",
    "evaluation",
    "bootstrap",
    "duals",
    "editing",
    "crop",
    "version",
    "offset",
    "captions",
    "prompt-dropout",
    "skew",
    "marginal",
]


def derived_seed(seed: int, stream: Stream, step: int = 0, rank: int = 0) -> int:
    """Give each use of randomness its own seed, in [0, 2⁶³): equal arguments, equal seed, on any machine."""
    digest = hashlib.blake2b(f"{seed}/{stream}/{step}/{rank}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator_for(
    seed: int, stream: Stream, step: int = 0, rank: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Make the generator of one stream at one step; a resumed run makes the same one again."""
    return torch.Generator(device).manual_seed(derived_seed(seed, stream, step, rank))
