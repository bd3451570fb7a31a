"""What pairing does, one question a file; every answer is a `Finding`: a sentence, numbers and pictures."""

from immiscible_diffusion.analysis.finding import Finding, read_findings, write_finding

__all__ = ["Finding", "read_findings", "write_finding"]
