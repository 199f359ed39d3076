"""Estimators: they learn from labelled vectors and predict classes. Train vectors and labels go in, predictions or probabilities come out.

Each rule (k-NN vote, nearest mean, logistic and ridge regression) stands here once, for the measures, the training monitor, fine-tuning
and the classifiers alike. Only `scikit` and the regressions import scikit-learn, the latter when called.
"""

from featurestore.estimators.few_shot import FEW_SHOT_METHODS, NEEDS_SKLEARN, SETTINGS, Method
from featurestore.estimators.linear_classifier import LinearClassifier

__all__ = ["FEW_SHOT_METHODS", "NEEDS_SKLEARN", "SETTINGS", "LinearClassifier", "Method"]
