"""Benchmarks of evaluation: the time of each measure against FAISS and scikit-learn, and the quality of trained encoders.

In: generated vectors, or a labelled folder of images. Out: Markdown tables. Run `python -m benchmarks.evaluation` and `python -m benchmarks.evaluation.quality`.
"""
