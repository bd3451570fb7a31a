"""Diffusion policy on PushT for a CPU: a residual MLP (0.45 M parameters), all 206 demonstrations, keypoints.

Command: immiscible compare pusht-small --data pusht.npz --pairings independent nearest:2 assigned --seeds 3
Hardware: 2 CPU cores. Duration: 1 to 2 minutes of training a run and 1 of scoring, on an idle core.
Paper: has no such experiment; see `pusht` for its numbers.
Ours: docs/robotics.md: independent 29.7 ± 2.8 %, nearest:2 27.4 ± 5.8 %, assigned 12.2 ± 2.7 % (3 seeds);
    with the small U-Net, batch 64 and 2,000 steps 43.6 ± 5.3 %, 34.2 ± 4.2 % and see there.
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
