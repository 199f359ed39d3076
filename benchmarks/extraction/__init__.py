"""Benchmarks of extraction: from image files to vectors in a store, against a torch DataLoader, onnxruntime, Pillow and lightly.

In: folders of images and networks with random weights. Out: Markdown tables. Run `python -m benchmarks.extraction`.
"""
