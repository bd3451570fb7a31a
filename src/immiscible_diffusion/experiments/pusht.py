"""Diffusion policy on PushT at full size (Chi et al. 2023, keypoints): 65.8 M parameters, DDPM of 100 steps.

Command: immiscible compare pusht --data pusht_cchi_v7_replay.zarr --pairings independent nearest:2:uncentred
    --seeds 3 --denoising-steps 100 (compare keeps the folder; give it again to go on)
Hardware: one GPU of 8 GB or more. Duration: 3,000 epochs of 42 steps are 127,000 steps, a few hours a run.
Paper: (Table 2) score of the last 10 checkpoints 79.56 % vanilla, 82.83 % nearest k=2; max 85.71 and 86.74 %.
    Chi et al. report 0.91 / 0.95 for their state CNN, 4,500 epochs (mean of last 10 / max).
Ours: not run. Sampling differs from Chi et al.: DDIM instead of DDPM's random steps.
"""

from immiscible_diffusion.objectives import Diffusion
from immiscible_diffusion.policy.experiment import PolicyExperiment

experiment = PolicyExperiment(
    name="pusht",
    data="data/pusht/pusht_cchi_v7_replay.zarr",
    network="unet-1d",
    objective=Diffusion(schedule="cosine", training_steps=100),
    pairing="nearest:2",
    episodes=90,
    steps=127_000,
)
