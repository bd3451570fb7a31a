"""Diffusion policy on PushT for a CPU: a residual MLP (0.45 M parameters), all 206 demonstrations, keypoints.

Command: immiscible compare pusht-small --data pusht.npz --pairings independent nearest:2 assigned --seeds 3
Hardware: 2 CPU cores. Duration: see docs/robotics.md.
Paper: has no such experiment; see `pusht` for its numbers.
Ours: docs/robotics.md
"""

from immiscible_diffusion.objectives import Diffusion
from immiscible_diffusion.policy.experiment import PolicyExperiment

experiment = PolicyExperiment(
    name="pusht-small",
    data="data/pusht/pusht_cchi_v7_replay.zarr",
    network="mlp-small",
    objective=Diffusion(schedule="cosine", training_steps=100),
    pairing="nearest:2",
    steps=5000,
    learning_rate=1e-3,
    warmup_steps=200,
)
