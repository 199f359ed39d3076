"""Fine-tuning: a classifier from a pretrained backbone and a few labels, with calibrated probabilities.

A training run and a labelled source come in. A classifier file with its figures goes out (`finetune.finetune`), or a table of runs at
shares of the labels (`label_efficiency.field`).
"""
