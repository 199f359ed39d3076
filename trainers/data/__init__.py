"""Training data: images decoded once into uint8 pixels, and batches of them.

A source comes in, with or without labels. Tensors of pixels go out, with the classes of labelled images.
`images.load` and `labelled.load_labelled` decode; `loader.Loader` draws the batches.
"""

from trainers.data.images import Images, list_training_files, load
from trainers.data.labelled import LabelledFiles, LabelledImages, list_labelled, load_labelled
from trainers.data.loader import Loader

__all__ = [
    "Images",
    "LabelledFiles",
    "LabelledImages",
    "Loader",
    "list_labelled",
    "list_training_files",
    "load",
    "load_labelled",
]
