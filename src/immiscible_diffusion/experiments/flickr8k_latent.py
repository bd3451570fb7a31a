"""Latent diffusion on 64×64 photographs for a CPU: one of five captions as the prompt.

Command: immiscible compare flickr8k-latent --data ../shared/data/flickr8k_64
    --autoencoder ../shared/weights --vocabulary ../shared/weights/bpe_simple_vocab_16e6.txt.gz
    --features resnet --weights ../shared/weights/cifar10_resnet56-4bfd9763.th
    --pairings independent nearest:8 assigned:within:above --seeds 3
Hardware: 2 CPU cores. Duration: 0.4 CPU-seconds a step.
Paper: has no such experiment; see `mscoco-stable-diffusion`.
Ours: docs/results.md, with text-unet-tiny, 800 steps, 3 seeds: 9.95 ± 1.50 vanilla, seed by seed nearest:8
    0.19 (0.06 to 0.32) lower and assigned:within:above 0.46 (0.01 to 0.91) (ResNet-56 features at 32×32,
    guidance 3, 20 evaluations).
"""

import dataclasses

from immiscible_diffusion.experiments.tiny_imagenet_latent import experiment as class_names

experiment = dataclasses.replace(
    class_names, name="flickr8k-latent", data="data/flickr8k_64", prompt_column="captions"
)
