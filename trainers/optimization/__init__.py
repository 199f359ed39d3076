"""Optimisers and schedules.

In come a module, its settings and the share of the training that is done; out come a torch optimiser, and the learning rate,
weight decay or momentum of a step. `schedules` has pure functions and imports nothing of ours.
"""
