"""Classifiers of vectors for scikit-learn code of users; they live in `featurestore.estimators`. Needs scikit-learn."""

from featurestore.estimators.classifiers import KnnClassifier, NearestMeanClassifier

__all__ = ["KnnClassifier", "NearestMeanClassifier"]
