"""Is noise really being selected? Ten lines on tensors that a trainer has."""

from immiscible_diffusion.diagnosis.diagnose import Diagnosis, diagnose
from immiscible_diffusion.diagnosis.mixture import Mixture
from immiscible_diffusion.diagnosis.tensor_files import read_tensors

__all__ = ["Diagnosis", "Mixture", "diagnose", "read_tensors"]
