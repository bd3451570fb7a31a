"""Latent diffusion on 64×64 emoji for a CPU: their names as prompts, by flow matching.

Command: immiscible compare emoji-latent --data ../shared/data/emoji_64
    --autoencoder ../shared/weights --vocabulary ../shared/weights/bpe_simple_vocab_16e6.txt.gz
    --features resnet --weights ../shared/weights/cifar10_resnet56-4bfd9763.th
    --pairings independent nearest:8 --seeds 3
Hardware: 2 CPU cores. Duration: 0.4 CPU-seconds a step.
Paper: has no such experiment.
Ours: docs/results.md, with text-unet-tiny, 800 steps, 3 seeds: 11.4 ± 0.1 vanilla, 11.5 ± 0.3 nearest:8
    (ResNet-56 features at 32×32, guidance 3): no difference that stands out of seed noise.
"""

import dataclasses

from immiscible_diffusion.experiments.tiny_imagenet_latent import experiment as class_names
from immiscible_diffusion.objectives import FlowMatching

experiment = dataclasses.replace(
    class_names, name="emoji-latent", data="data/emoji_64", prompt_column="text", objective=FlowMatching()
)
