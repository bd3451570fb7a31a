"""One training run under several pairings and seeds: did pairing save steps, or is it seed noise?"""

from immiscible_diffusion.comparison.curves import (
    Comparison,
    Curve,
    Point,
    Score,
    comparison_from_json,
    comparison_to_csv,
    comparison_to_json,
    curves_of,
    pairing_names,
)
from immiscible_diffusion.comparison.plan import Plan, run_place, variants
from immiscible_diffusion.comparison.plots import plot_curves, plot_samples, plot_speed_ups
from immiscible_diffusion.comparison.report import report_page, write_joint_report, write_report
from immiscible_diffusion.comparison.runner import comparison_settings, measured_run, run_comparison
from immiscible_diffusion.comparison.statistics import (
    Estimate,
    Interval,
    Reach,
    Summary,
    bootstrap_interval,
    first_crossing,
    mean_over_seeds,
    student_t_interval,
    summarize,
)
from immiscible_diffusion.comparison.subject import IMAGES
from immiscible_diffusion.comparison.table import (
    Table,
    evaluations_table,
    markdown_table,
    results_table,
    rich_table,
    seeds_table,
)
from immiscible_diffusion.comparison.verdicts import Verdict, headline, judge, verdict

__all__ = [
    "IMAGES",
    "Comparison",
    "Curve",
    "Estimate",
    "Interval",
    "Plan",
    "Point",
    "Reach",
    "Score",
    "Summary",
    "Table",
    "Verdict",
    "bootstrap_interval",
    "comparison_from_json",
    "comparison_settings",
    "comparison_to_csv",
    "comparison_to_json",
    "curves_of",
    "evaluations_table",
    "first_crossing",
    "headline",
    "judge",
    "markdown_table",
    "mean_over_seeds",
    "measured_run",
    "pairing_names",
    "plot_curves",
    "plot_samples",
    "plot_speed_ups",
    "report_page",
    "results_table",
    "rich_table",
    "run_comparison",
    "run_place",
    "seeds_table",
    "student_t_interval",
    "summarize",
    "variants",
    "verdict",
    "write_joint_report",
    "write_report",
]
