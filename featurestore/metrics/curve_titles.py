"""Titles of the curves of a training run, by the name of the figure in metrics.jsonl."""

CURVE_TITLES = {
    "loss": "loss",
    "lr": "learning rate",
    "teacher_momentum": "teacher momentum",
    "knn_top1": "k-NN top-1",
    "feature_std": "feature std (1: spread out, 0: collapsed)",
    "rankme": "RankMe (effective dimensions)",
}
