"""A training script in the style of diffusers' examples, shortened; it knows nothing of pairing.

Accelerate, workers, mixed precision, noise offset, input perturbation, sampling at the end.
"""

import argparse

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from sklearn.datasets import load_digits


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--train_batch_size", type=int, default=16)
    parser.add_argument("--max_train_steps", type=int, default=4)
    parser.add_argument("--mixed_precision", default="no")
    parser.add_argument("--noise_offset", type=float, default=0.0)
    parser.add_argument("--input_perturbation", type=float, default=0.0)
    parser.add_argument("--prediction_type", default="epsilon")
    parser.add_argument("--num_workers", type=int, default=0)
    parser.add_argument("--latents", action="store_true")
    return parser.parse_args()


def collate_fn(examples):
    # Augmentation in a worker draws noise for images, too.
    return {"input": torch.stack([example + 0.001 * torch.randn_like(example) for example in examples])}


def main(args):
    accelerator = Accelerator(cpu=True, mixed_precision=args.mixed_precision)
    model = UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        dropout=0.1,
    )
    noise_scheduler = DDPMScheduler(prediction_type=args.prediction_type)
    optimizer = torch.optim.AdamW(model.parameters())
    images = torch.tensor(load_digits().images, dtype=torch.float32)[:, None] / 8 - 1
    train_dataloader = torch.utils.data.DataLoader(
        images,
        batch_size=args.train_batch_size,
        shuffle=True,
        collate_fn=collate_fn,
        num_workers=args.num_workers,
    )
    model, optimizer, train_dataloader = accelerator.prepare(model, optimizer, train_dataloader)
    weight_dtype = torch.bfloat16 if args.mixed_precision == "bf16" else torch.float32
    model.train()
    for step, batch in enumerate(train_dataloader):
        if step == args.max_train_steps:
            break
        with accelerator.accumulate(model):
            latents = batch["input"].to(weight_dtype)
            if args.latents:  # what a VAE does
                moments = torch.cat([latents, torch.full_like(latents, -12.0)], dim=1)
                latents = DiagonalGaussianDistribution(moments).sample()
            noise = torch.randn_like(latents)
            if args.noise_offset:
                noise += args.noise_offset * torch.randn((latents.shape[0], latents.shape[1], 1, 1))
            if args.input_perturbation:
                new_noise = noise + args.input_perturbation * torch.randn_like(noise)
            bsz = latents.shape[0]
            timesteps = torch.randint(0, noise_scheduler.config.num_train_timesteps, (bsz,)).long()
            if args.input_perturbation:
                noisy_latents = noise_scheduler.add_noise(latents, new_noise, timesteps)
            else:
                noisy_latents = noise_scheduler.add_noise(latents, noise, timesteps)
            if noise_scheduler.config.prediction_type == "epsilon":
                target = noise
            else:
                target = noise_scheduler.get_velocity(latents, noise, timesteps)
            model_pred = model(noisy_latents, timesteps).sample
            loss = F.mse_loss(model_pred.float(), target.float(), reduction="mean")
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
    model.eval()
    pipeline = DDPMPipeline(unet=accelerator.unwrap_model(model).float(), scheduler=noise_scheduler)
    pipeline.set_progress_bar_config(disable=True)
    pipeline(batch_size=2, num_inference_steps=2, generator=torch.Generator().manual_seed(0))
    print(f"loss {loss.item():.9f}")


if __name__ == "__main__":
    main(parse_args())
