"""Classifiers of a store: trained on its labelled items, stored with it, and applied to all of them.

A store and a name go in; a report comes out, the classifier is in the catalog, and its predictions are in columns of the items.
"""

from featurestore.classification.predict import ApplyReport, apply
from featurestore.classification.train import METHODS, ClassifierReport, drop, train

__all__ = ["METHODS", "ApplyReport", "ClassifierReport", "apply", "drop", "train"]
