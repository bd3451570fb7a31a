"""Latent diffusion on 64×64 emoji for a CPU: their names as prompts, by flow matching.

Command: immiscible compare emoji-latent --data ../shared/data/emoji_64
    --autoencoder ../shared/weights --vocabulary ../shared/weights/bpe_simple_vocab_16e6.txt.gz
    --features resnet --weights ../shared/weights/cifar10_resnet56-4bfd9763.th
    --pairings independent nearest:8 --seeds 3
Hardware: 2 CPU cores. Duration: 0.4 CPU-seconds a step.
Paper: has no such experiment.
Ours: not run
"""

import dataclasses

from immiscible_diffusion.experiments.tiny_imagenet_latent import experiment as class_names
from immiscible_diffusion.objectives import FlowMatching

experiment = dataclasses.replace(
    class_names, name="emoji-latent", data="data/emoji_64", prompt_column="text", objective=FlowMatching()
)
