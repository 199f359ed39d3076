"""k-NN and nearest mean as scikit-learn classifiers, for users' own scikit-learn code. Needs scikit-learn."""

from featurestore.estimators.scikit import KnnClassifier, NearestMeanClassifier

__all__ = ["KnnClassifier", "NearestMeanClassifier"]
