"""Sixteen small labelled collections that differ in kind: colour, shape, texture, orientation, grey, size, number of images.

In: nothing, or the folders of CIFAR-10 and of photos. Out: FOLDER/train/LABEL/ and FOLDER/test/LABEL/. Run `python -m benchmarks.collections`.
"""
