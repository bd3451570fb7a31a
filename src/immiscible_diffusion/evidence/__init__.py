"""The evidence: which comparisons are run, what came of them, and the page that is generated from both."""

from immiscible_diffusion.evidence.document import document, with_headline, write_document
from immiscible_diffusion.evidence.driver import Places, run_listed
from immiscible_diffusion.evidence.listed import Listed, chosen_comparisons, listed_comparisons
from immiscible_diffusion.evidence.result import Result, RunRecord, read_result, read_results, write_result

__all__ = [
    "Listed",
    "Places",
    "Result",
    "RunRecord",
    "chosen_comparisons",
    "document",
    "listed_comparisons",
    "read_result",
    "read_results",
    "run_listed",
    "with_headline",
    "write_document",
    "write_result",
]
