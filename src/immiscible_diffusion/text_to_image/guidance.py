"""Classifier-free guidance: away from what the network says to no prompt (Ho and Salimans 2022)."""

import torch
from torch import Tensor, nn


class Guided(nn.Module):
    """A network guided by `scale`: uncond + scale · (cond − uncond), both evaluated in one batch.

    scale: 1 is the network itself, evaluated once; 7.5 is Stable Diffusion's default. empty: embedding of the
    empty prompt, [tokens, width].
    """

    def __init__(self, network: nn.Module, scale: float, empty: Tensor) -> None:
        super().__init__()
        self.network, self.scale = network, scale
        self.register_buffer("empty", empty, persistent=False)

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        """noisy [B, C, h, w], time [B], condition [B, tokens, width] -> [B, C, h, w]."""
        assert isinstance(self.empty, Tensor) and condition is not None
        if self.scale == 1:
            alone: Tensor = self.network(noisy, time, condition)
            return alone
        empty = self.empty.to(condition).expand_as(condition)
        both = self.network(torch.cat([noisy, noisy]), torch.cat([time, time]), torch.cat([empty, condition]))
        without, given = both.chunk(2)
        guided: Tensor = without + self.scale * (given - without)
        return guided


def check_guidance(scale: float) -> None:
    """Raise ValueError for a scale below 0 or not finite."""
    if not 0 <= scale < float("inf"):
        raise ValueError(f"guidance must be 0 or more, got {scale}; 1 is none, 7.5 is Stable Diffusion's")
