"""DDPM training and DDIM sampling: noisy = √ᾱ clean + √(1−ᾱ) noise, with the schedules of diffusers."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, get_args

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from immiscible_diffusion.objectives.objective import Estimate, Network, over, squared_error
from immiscible_diffusion.pairing.suggestions import unknown

Prediction = Literal["epsilon", "v"]
Schedule = Literal["linear", "cosine", "scaled-linear"]
DIFFUSERS_SCHEDULE = {"linear": "linear", "cosine": "squaredcos_cap_v2", "scaled-linear": "scaled_linear"}
BETAS = {"scaled-linear": (0.00085, 0.012)}  # Stable Diffusion's; the others' are DDPM's
DIFFUSERS_PREDICTION = {"epsilon": "epsilon", "v": "v_prediction"}
CLEAN_TIME = -1  # the step after the last: no noise left


@dataclass(frozen=True)
class Diffusion:
    """Discrete-time diffusion (DDPM, Ho et al. 2020; sampled by DDIM, Song et al. 2020).

    prediction: what the network outputs, "epsilon" (the noise) or "v" (√ᾱ noise − √(1−ᾱ) clean).
    schedule: "linear" (the paper's), "cosine" or "scaled-linear" (Stable Diffusion's). training_steps: its
    length. min_snr_gamma: weigh each row's loss by min(SNR, gamma) / SNR, for v by
    min(SNR, gamma) / (SNR + 1) (Hang et al. 2023; 5 is usual); None weighs all alike.
    Times are whole numbers in [0, training_steps); −1 stands for clean.
    Raises ValueError for an unknown prediction or schedule, fewer than 2 training steps or no positive gamma.
    """

    evaluations: ClassVar[tuple[int, ...]] = (5, 20, 50)
    judged_at: ClassVar[int] = 20
    depends_on_length: ClassVar[bool] = False

    prediction: Prediction = "epsilon"
    schedule: Schedule = "linear"
    training_steps: int = 1000
    min_snr_gamma: float | None = None

    def __post_init__(self) -> None:
        if self.prediction not in get_args(Prediction):
            raise ValueError(unknown("prediction", self.prediction, get_args(Prediction)))
        if self.schedule not in get_args(Schedule):
            raise ValueError(unknown("schedule", self.schedule, get_args(Schedule)))
        if self.training_steps < 2:
            raise ValueError(f"training_steps must be 2 or more, got {self.training_steps}; 1000 is usual")
        if self.min_snr_gamma is not None and not self.min_snr_gamma > 0:
            raise ValueError(f"min_snr_gamma must be greater than 0, got {self.min_snr_gamma}; 5 is usual")

    @property
    def samplers(self) -> tuple[str, ...]:
        return ("ddim", "heun")

    def draw_times(self, count: int, generator: torch.Generator, progress: float = 0.0) -> Tensor:
        return torch.randint(self.training_steps, (count,), generator=generator, device=generator.device)

    def times(self, steps: int) -> Tensor:
        if not 1 <= steps <= self.training_steps:
            raise ValueError(f"steps must be from 1 to {self.training_steps} for this schedule, got {steps}")
        scheduler = self.scheduler()
        scheduler.set_timesteps(steps)
        return torch.cat([scheduler.timesteps, torch.tensor([CLEAN_TIME])])

    def scheduler(self) -> DDIMScheduler:
        """Build the diffusers scheduler that samples what this objective trains."""
        low, high = BETAS.get(self.schedule, (0.0001, 0.02))
        return DDIMScheduler(
            beta_start=low,
            beta_end=high,
            num_train_timesteps=self.training_steps,
            beta_schedule=DIFFUSERS_SCHEDULE[self.schedule],
            prediction_type=DIFFUSERS_PREDICTION[self.prediction],
            clip_sample=False,
            # Others would start below the noisiest step, where a sample of N(0, I) was never seen.
            timestep_spacing="trailing",
        )

    def start(self, noise: Tensor) -> Tensor:
        return noise

    def diffuse(self, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        signal, spread = self._scales(time, clean)
        return (signal * clean + spread * noise).to(clean.dtype)

    def estimate(
        self, network: Network, noisy: Tensor, time: Tensor, condition: Tensor | None = None
    ) -> Estimate:
        output = network(noisy, time.to(noisy.device).expand(len(noisy)), condition)
        if self.prediction == "v":
            return self.split(noisy, time, output)
        signal, spread = self._scales(time, noisy)
        return Estimate((noisy - spread * output) / signal, output)  # Eq. 2

    def slope(self, estimate: Estimate, time: Tensor) -> Tensor:
        # The path is x″ = −x + w in the angle φ with cos φ = √ᾱ; its slope v has no pole where ᾱ is 0.
        signal, spread = self._scales(time, estimate.clean)
        return signal * estimate.noise - spread * estimate.clean

    def split(self, noisy: Tensor, time: Tensor, slope: Tensor) -> Estimate:
        signal, spread = self._scales(time, noisy)
        return Estimate(signal * noisy - spread * slope, spread * noisy + signal * slope)

    def loss(
        self, network: Network, clean: Tensor, noise: Tensor, time: Tensor, condition: Tensor | None = None
    ) -> Tensor:
        target = noise
        if self.prediction == "v":
            target = self.slope(Estimate(clean, noise), time)
        errors = squared_error(network(self.diffuse(clean, noise, time), time, condition), target)
        return errors if self.min_snr_gamma is None else errors * self.snr_weights(time.to(errors.device))

    def snr_weights(self, time: Tensor) -> Tensor:
        """Min-SNR weights at `time` [B], float32 [B]; as diffusers' training scripts have them."""
        assert self.min_snr_gamma is not None
        alphas = _alphas(self.schedule, self.training_steps).to(time.device)[time]
        ratio = alphas / (1 - alphas)  # SNR
        return ratio.clamp(max=self.min_snr_gamma) / (ratio + 1 if self.prediction == "v" else ratio)

    def _scales(self, time: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """√ᾱ and √(1−ᾱ) at `time`, shaped to multiply `like`."""
        # The last entry, which CLEAN_TIME = −1 picks, is ᾱ = 1.
        alphas = _alphas(self.schedule, self.training_steps).to(like.device)[time.to(like.device)]
        return over(alphas.sqrt(), like), over((1 - alphas).sqrt(), like)


@lru_cache
def _alphas(schedule: Schedule, training_steps: int) -> Tensor:
    scheduler = Diffusion(schedule=schedule, training_steps=training_steps).scheduler()
    return torch.cat([scheduler.alphas_cumprod, torch.ones(1)])
