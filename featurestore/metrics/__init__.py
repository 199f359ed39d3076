"""Measures as functions of arrays: vectors, scores, labels and predictions go in, figures come out.

Also the splits and draws by which measures are taken, and the intervals that belong to them. Imports nothing of ours but the errors.
"""

from featurestore.metrics.calibration import expected_calibration_error, fit_temperature, log_loss, softmax
from featurestore.metrics.checks import check_classes, check_finite
from featurestore.metrics.confusion import ClassFigures, Confusion, class_figures, confusion
from featurestore.metrics.label_free import neighbour_agreement, rankme, sample, uniformity
from featurestore.metrics.retrieval import RetrievalResult
from featurestore.metrics.splits import draw, folds, fraction_draws, held_out, share_counts, shot_draws
from featurestore.metrics.statistics import (
    Difference,
    ItemDifference,
    compare_draws,
    compare_items,
    compare_shares,
    half_width,
    sign_test,
    student,
    wilson,
)

__all__ = [
    "ClassFigures",
    "Confusion",
    "Difference",
    "ItemDifference",
    "RetrievalResult",
    "check_classes",
    "check_finite",
    "class_figures",
    "compare_draws",
    "compare_items",
    "compare_shares",
    "confusion",
    "draw",
    "expected_calibration_error",
    "fit_temperature",
    "folds",
    "fraction_draws",
    "half_width",
    "held_out",
    "log_loss",
    "neighbour_agreement",
    "rankme",
    "sample",
    "share_counts",
    "shot_draws",
    "sign_test",
    "softmax",
    "student",
    "uniformity",
    "wilson",
]
