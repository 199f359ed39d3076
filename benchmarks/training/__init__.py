"""Benchmarks of training: speed, memory and quality against lightly, ablations of a step, and networks for ten minutes on two cores.

In: folders of images. Out: Markdown tables. Run `python -m benchmarks.training` and `python -m benchmarks.training.networks`.
"""
