"""Classifiers of a store: trained on its labelled items, stored with it, and applied to all of them.

A store and a name go in; a report comes out, the classifier is in the catalog, and its predictions are in columns of the items.
While a person labels, a classifier of the labels so far guesses the others, and a curve says how good it is; neither is stored.
"""

from featurestore.classification.guesses import Guesses, guess
from featurestore.classification.learning_curve import LearningCurve, LearningPoint, learning_curve
from featurestore.classification.predict import ApplyReport, apply
from featurestore.classification.train import METHODS, ClassifierReport, drop, train

__all__ = [
    "METHODS",
    "ApplyReport",
    "ClassifierReport",
    "Guesses",
    "LearningCurve",
    "LearningPoint",
    "apply",
    "drop",
    "guess",
    "learning_curve",
    "train",
]
