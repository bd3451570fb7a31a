"""Consistency training on Fashion-MNIST (60,000 grey images of 28×28), a small U-Net.

Command: immiscible train fashion-mnist-consistency --data PATH (or nothing: the hub's copy)
Hardware: 2 CPU cores. Duration: not measured; a step is two passes forward and one back.
Paper: has no such experiment. Its images share half of their energy (docs/decisions.md).
Ours: a small network. Change of the distance against vanilla, `immiscible evidence run
    fashion-mnist-consistency`, 3 seeds, 1 / 2 / 4 evaluations: assigned:above +40 ± 101 / +38 ± 76 /
    +32 ± 80 %, assigned +38 ± 108 / +53 ± 82 / +56 ± 77 %, nearest:4 +31 ± 26 / +33 ± 63 / +33 ± 68 %.
"""

from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.objectives import Consistency

experiment = Experiment(
    name="fashion-mnist-consistency",
    data="fashion-mnist",
    network="unet-small",
    objective=Consistency(),
    pairing="nearest:4",
    batch_size=64,
    steps=1000,
    learning_rate=0.001,
    warmup_steps=50,
    ema_decay=0.99,
)
