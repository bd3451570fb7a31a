"""Stable Diffusion from scratch on ImageNet-1k at 256×256, class names as prompts (Table 3: batch 2,048).

Command: 8 GPUs of 80 GB (32 rows a piece): torchrun --nproc-per-node 8 -m immiscible_diffusion.cli
    train imagenet-stable-diffusion --data ILSVRC/imagenet-1k --precision bf16 --encode-precision bf16
    --accumulation 8 --pairing nearest --k 64
On 4 GPUs of 48 GB (16 rows a piece): the same with --nproc-per-node 4 and --accumulation 32
Hardware: 8×A800 or 4×A6000 in the paper. Duration: not run; the U-Net has 860 M parameters.
Paper: (Table 4) best k 64. README of the authors: FID 17.92 vanilla, 16.84 nearest k=64, 16.43 assigned.
Ours: not run
Autoencoder and text encoder are those of Stable Diffusion 1.4 and stay as they are; the U-Net starts from new
weights. The paper prints no learning rate: 1e-4 with 10,000 steps of warm-up is Stable Diffusion's own. Nor
does it print prompt dropout; 0.1 is usual. Every process holds all latents, 10.5 GB in half precision.
"""

from immiscible_diffusion.objectives import Diffusion
from immiscible_diffusion.text_to_image.experiment import TextToImageExperiment

experiment = TextToImageExperiment(
    name="imagenet-stable-diffusion",
    data="ILSVRC/imagenet-1k",
    network="stable-diffusion",
    objective=Diffusion(prediction="epsilon", schedule="scaled-linear"),
    text_encoder="CompVis/stable-diffusion-v1-4",
    autoencoder="CompVis/stable-diffusion-v1-4",
    pairing="nearest:64",
    guidance=7.5,
    batch_size=2048,
    steps=100_000,
    learning_rate=1e-4,
    warmup_steps=10_000,
    ema_decay=0.9999,
    accumulation=8,
    resolution=256,
    gradient_checkpointing=True,
)
