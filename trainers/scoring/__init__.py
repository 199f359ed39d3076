"""Scoring: the self-supervised loss of each image of a store, as a column of its items.

A training run and a store come in. The method of the run gives its own loss on single images (`scorer.Scorer`), and the store gets the
column ssl_loss (`score.score`).
"""
