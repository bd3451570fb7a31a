"""Flow matching on handwritten digits (scikit-learn's 1,797 scans of 8×8), residual MLP.

Command: immiscible compare digits-flow --pairings independent nearest:4 assigned --seeds 3
Hardware: 2 CPU cores. Duration: about 20 seconds a run.
Paper: has no such experiment; it is the small one that everybody can run.
Ours: README.md; pairing helps at 5 evaluations and harms at 20 and 50.
"""

from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.objectives import FlowMatching

experiment = Experiment(
    name="digits-flow",
    data="digits",
    network="mlp",
    objective=FlowMatching(),
    pairing="nearest:4",
    batch_size=256,
    steps=1000,
    learning_rate=0.003,
    warmup_steps=50,
    ema_decay=0.99,
)
