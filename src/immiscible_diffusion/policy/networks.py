"""Networks of a policy: the 1-D conditional U-Net of Chi et al. (2023), and an MLP for a CPU."""

from collections.abc import Callable

import torch
from diffusers.models.embeddings import Timesteps
from torch import Tensor, nn

from immiscible_diffusion.networks import ResidualMLP
from immiscible_diffusion.pairing.suggestions import unknown

Shape = tuple[int, int]  # (steps of a chunk, numbers an action) or (observation steps, numbers each)


class ConvolutionBlock(nn.Sequential):
    """Convolution over time, group normalisation, Mish."""

    def __init__(self, entering: int, leaving: int, kernel: int, groups: int) -> None:
        super().__init__(
            nn.Conv1d(entering, leaving, kernel, padding=kernel // 2),
            nn.GroupNorm(groups, leaving),
            nn.Mish(),
        )


class FilmBlock(nn.Module):
    """A residual block whose channels the condition scales and shifts between its two convolutions (FiLM)."""

    def __init__(self, entering: int, leaving: int, condition: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.first = ConvolutionBlock(entering, leaving, kernel, groups)
        self.second = ConvolutionBlock(leaving, leaving, kernel, groups)
        self.modulation = nn.Sequential(nn.Mish(), nn.Linear(condition, 2 * leaving))
        self.shortcut = nn.Conv1d(entering, leaving, 1) if entering != leaving else nn.Identity()

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition)[..., None].chunk(2, dim=1)
        changed = self.second(scale * self.first(hidden) + shift)
        result: Tensor = changed + self.shortcut(hidden)
        return result


class ConditionalUNet1d(nn.Module):
    """Noise in a chunk of actions, seen through time and observations that enter every block by FiLM.

    Called as (noisy [B, T, A], time [B], condition [B, To, D]); T must divide by 2^(levels − 1).
    widths: channels by level. Chi et al.: (256, 512, 1024), kernel 5, 8 groups, a time embedding of 256.
    """

    def __init__(
        self,
        action: Shape,
        observation: Shape,
        widths: tuple[int, ...] = (256, 512, 1024),
        kernel: int = 5,
        groups: int = 8,
        time_width: int = 256,
    ) -> None:
        super().__init__()
        self.embed_time = nn.Sequential(
            Timesteps(time_width, flip_sin_to_cos=False, downscale_freq_shift=1),
            nn.Linear(time_width, 4 * time_width),
            nn.Mish(),
            nn.Linear(4 * time_width, time_width),
        )
        condition = time_width + observation[0] * observation[1]

        def pair(entering: int, leaving: int) -> nn.ModuleList:
            return nn.ModuleList(
                FilmBlock(width, leaving, condition, kernel, groups) for width in (entering, leaving)
            )

        entering = (action[1], *widths[:-1])
        self.down = nn.ModuleList(pair(*sizes) for sizes in zip(entering, widths, strict=True))
        self.shorten = nn.ModuleList(nn.Conv1d(width, width, 3, stride=2, padding=1) for width in widths[:-1])
        self.middle = pair(widths[-1], widths[-1])
        upwards = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(pair(2 * wide, narrow) for wide, narrow in upwards)
        self.lengthen = nn.ModuleList(
            nn.ConvTranspose1d(narrow, narrow, 4, stride=2, padding=1) for _, narrow in upwards
        )
        self.leave = nn.Sequential(
            ConvolutionBlock(widths[0], widths[0], kernel, groups), nn.Conv1d(widths[0], action[1], 1)
        )

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        assert condition is not None
        features = torch.cat([self.embed_time(time).to(noisy.dtype), condition.flatten(1)], dim=1)
        hidden = noisy.transpose(1, 2)  # [B, A, T]
        kept = []
        for level, blocks in enumerate(self.down):
            for block in blocks:  # type: ignore[attr-defined]
                hidden = block(hidden, features)
            kept.append(hidden)
            if level < len(self.shorten):
                hidden = self.shorten[level](hidden)
        for block in self.middle:
            hidden = block(hidden, features)
        # The published network joins the deepest level too, and never the first.
        for blocks, lengthen in zip(self.up, self.lengthen, strict=True):
            hidden = torch.cat([hidden, kept.pop()], dim=1)
            for block in blocks:  # type: ignore[attr-defined]
                hidden = block(hidden, features)
            hidden = lengthen(hidden)
        prediction: Tensor = self.leave(hidden)
        return prediction.transpose(1, 2)


def _mlp(action: Shape, observation: Shape, width: int = 256) -> nn.Module:
    embed = nn.Sequential(
        nn.Flatten(), nn.Linear(observation[0] * observation[1], width), nn.SiLU(), nn.Linear(width, width)
    )
    return ResidualMLP(action, None, width, blocks=4, embed_condition=embed)


POLICY_NETWORKS: dict[str, Callable[[Shape, Shape], nn.Module]] = {
    "mlp-small": lambda action, observation: _mlp(action, observation, width=128),
    "mlp": _mlp,
    "unet-1d-small": lambda action, observation: ConditionalUNet1d(
        action, observation, (32, 64, 128), time_width=64
    ),
    "unet-1d": ConditionalUNet1d,
}


def build_policy_network(name: str, action: Shape, observation: Shape, *, seed: int = 0) -> nn.Module:
    """Build a policy's network by name, its weights a function of `seed` alone.

    name: "mlp-small" (0.45 M parameters, for a CPU), "mlp" (1.8 M), "unet-1d-small" (1.2 M), or "unet-1d"
        (Chi et al., 66 M).
    action: steps of a chunk and numbers of an action. observation: observation steps and numbers of each.
    Called as network(noisy [B, T, A], time [B], condition [B, To, D]) -> [B, T, A].
    Raises ValueError for an unknown name, or a chunk that a U-Net cannot halve twice.
    """
    if name not in POLICY_NETWORKS:
        raise ValueError(unknown("policy network", name, POLICY_NETWORKS))
    if name.startswith("unet") and action[0] % 4:
        raise ValueError(f"network {name!r} halves a chunk twice: horizon must divide by 4, got {action[0]}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return POLICY_NETWORKS[name](action, observation)
