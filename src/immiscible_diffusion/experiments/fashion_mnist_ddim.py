"""DDPM training, DDIM sampling on Fashion-MNIST (60,000 grey images of 28×28), a small U-Net.

Command: immiscible train fashion-mnist-ddim --data PATH (or nothing: the hub's copy)
Hardware: 2 CPU cores. Duration: about 1.2 s a step, 20 minutes for the default 1,000 steps.
Paper: has no such experiment. Its images share half of their energy (docs/decisions.md).
Ours: a small network. Change of the distance against vanilla, `immiscible evidence run fashion-mnist-ddim`,
    3 seeds, 5 / 20 / 50 evaluations: assigned:above −21 ± 7 / −10 ± 3 / −10 ± 3 %, nearest:64:dot:above
    +0 ± 10 / +7 ± 5 / +5 ± 3 %, assigned −4 ± 4 / +17 ± 6 / +19 ± 8 %, nearest:8 +4 ± 10 / +17 ± 6 /
    +18 ± 6 %; `immiscible evidence run fashion-mnist-ddim-v`, 3 seeds, 5 / 20 / 50 evaluations:
    assigned:above −33 ± 6 / −17 ± 4 / −17 ± 3 %, assigned −23 ± 7 / −4 ± 6 / −3 ± 3 %, nearest:8 −9 ± 4 /
    +3 ± 6 / +5 ± 6 %.
"""

from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.objectives import Diffusion

experiment = Experiment(
    name="fashion-mnist-ddim",
    data="fashion-mnist",
    network="unet-small",
    objective=Diffusion(),
    pairing="assigned:above",
    batch_size=64,
    steps=1000,
    learning_rate=0.001,
    warmup_steps=50,
    ema_decay=0.99,
)
