"""TorchCFM's CIFAR-10 loop and diffusers' unconditional example, written around their published packages.

TorchCFM examples/images/cifar10/train_cifar10.py: Adam, warm-up, clipping, its average over the state dict.
diffusers examples/unconditional_image_generation/train_unconditional.py: accelerate, AdamW, cosine schedule,
EMAModel, a tracker written at every step. Both are spared: their images come decoded from memory, not through
PIL and torchvision.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import DDPMScheduler
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from immiscible_diffusion.data.images import ImageData
from immiscible_diffusion.networks import build_network


class Normalised(Dataset[Tensor]):
    """Images as their loops see them: mirrored at random, at [-1, 1]."""

    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, row: int) -> Tensor:
        image = self.pixels[row]
        image = image.flip(-1) if torch.rand(()) < 0.5 else image
        return image.float().div(255).sub(0.5).div(0.5)


def torchcfm_steps(matcher: Any, data: ImageData, name: str, batch: int) -> Iterator[None]:
    loader = DataLoader(Normalised(data.pixels), batch_size=batch, shuffle=True, drop_last=True)
    network = build_network(name, data.shape)
    averaged = copy.deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lr_lambda=lambda step: min(step, 5000) / 5000)
    bar = tqdm(disable=None, leave=False)
    while True:
        for clean in loader:
            optimizer.zero_grad()
            noise = torch.randn_like(clean)
            when, noisy, velocity = matcher.sample_location_and_conditional_flow(noise, clean)
            loss = torch.mean((network(noisy, when) - velocity) ** 2)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            source, target = network.state_dict(), averaged.state_dict()
            for key in source:
                target[key].data.copy_(target[key].data * 0.9999 + source[key].data * (1 - 0.9999))
            bar.update()
            yield


def diffusers_steps(data: ImageData, name: str, batch: int, folder: Path) -> Iterator[None]:
    accelerator = Accelerator(log_with="tensorboard", project_dir=str(folder))
    network: Any = build_network(name, data.shape).unet
    average = EMAModel(
        network.parameters(),
        decay=0.9999,
        use_ema_warmup=True,
        inv_gamma=1.0,
        power=0.75,
        model_cls=type(network),
    )
    scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear")
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8
    )
    loader = DataLoader(Normalised(data.pixels), batch_size=batch, shuffle=True)
    rates = get_scheduler("cosine", optimizer=optimizer, num_warmup_steps=500, num_training_steps=100_000)
    network, optimizer, loader, rates = accelerator.prepare(network, optimizer, loader, rates)
    accelerator.init_trackers("train_unconditional")
    step, bar = 0, tqdm(disable=None, leave=False)
    while True:
        for clean in loader:
            noise = torch.randn(clean.shape, dtype=torch.float32, device=clean.device)
            times = torch.randint(0, 1000, (clean.shape[0],), device=clean.device, dtype=torch.int64)
            noisy = scheduler.add_noise(clean, noise, times)
            with accelerator.accumulate(network):
                output = network(noisy, times).sample
                loss = nn.functional.mse_loss(output.float(), noise.float())
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                rates.step()
                optimizer.zero_grad()
            average.step(network.parameters())
            bar.update()
            step += 1
            logs = {"loss": loss.detach().item(), "lr": rates.get_last_lr()[0], "step": step}
            logs["ema_decay"] = average.cur_decay_value
            bar.set_postfix(**logs)
            accelerator.log(logs, step=step)
            yield
