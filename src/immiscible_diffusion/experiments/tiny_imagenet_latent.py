"""Latent diffusion on 64×64 ImageNet for a CPU: prompted by class names, a U-Net of 2.2 M parameters.

Command: immiscible compare tiny-imagenet-latent --data ../shared/data/tiny_imagenet
    --autoencoder ../shared/weights --vocabulary ../shared/weights/bpe_simple_vocab_16e6.txt.gz
    --pairings independent nearest:8 --seeds 3
Hardware: 2 CPU cores. Duration: 0.4 CPU-seconds a step; encoding 10,000 images once takes 4 CPU-minutes.
Paper: has no such experiment; see `imagenet-stable-diffusion` for its numbers.
Ours: docs/results.md, with text-unet-tiny, 800 steps, 2 seeds: 11.1 ± 1.7 vanilla, 10.9 ± 1.5 nearest:8
    (ResNet-56 features at 32×32, guidance 3): no difference that stands out of seed noise.
Text is read by an untrained encoder: 200 names are told apart, no more is asked of it. The autoencoder is the
tiny one of FLUX.2, which gives back these images with 20.6 dB.
"""

from immiscible_diffusion.objectives import Diffusion
from immiscible_diffusion.text_to_image.experiment import TextToImageExperiment

experiment = TextToImageExperiment(
    name="tiny-imagenet-latent",
    data="data/tiny_imagenet",
    network="text-unet-small",
    objective=Diffusion(prediction="v", schedule="scaled-linear"),
    text_encoder="clip-untrained:64",
    autoencoder="data/taef2",
    vocabulary="data/bpe_simple_vocab_16e6.txt.gz",
    pairing="nearest:8",
    batch_size=64,
    steps=10_000,
    learning_rate=5e-4,
    warmup_steps=200,
    ema_decay=0.999,
)
