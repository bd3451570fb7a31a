"""How long pairing takes, beside `torch.randn_like` and beside how everyone else does it."""

from immiscible_diffusion.benchmark.pairing import SIZES, bench_pairing, time_pairing
from immiscible_diffusion.benchmark.tables import TABLE_5, TABLE_5_METHODS
from immiscible_diffusion.benchmark.waiting import Waiting, bench_waiting

__all__ = ["SIZES", "TABLE_5", "TABLE_5_METHODS", "Waiting", "bench_pairing", "bench_waiting", "time_pairing"]
