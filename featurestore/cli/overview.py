"""The commands as `featurestore --help` lists them: under headings, each described in one short line."""

OVERVIEW = {
    "Make an encoder": {
        "train": "Train an encoder on images, without their labels.",
        "export": "Write a published or any other network as an encoder file.",
        "profile": "Show where the time of a training step goes.",
        "whiten": "Make an encoder of a store better for search.",
        "attention": "Draw where a vision transformer looks in an image.",
        "demo": "Train, index, measure and search digits, in one run.",
    },
    "Use it": {
        "index": "Bring a store up to date with its images.",
        "search": "Find the images that are most similar to an image.",
        "serve": "See, search and label a store in a browser; a REST API.",
        "neighbours": "Write the nearest neighbours of every item.",
        "info": "Summarise a store: items, labels, encoders, size.",
        "failures": "List the files that could not be used, and why.",
        "sql": "Ask about the items of a store in SQL.",
    },
    "Measure it": {
        "knn": "Measure k-NN classification.",
        "linear": "Measure logistic regression on the vectors.",
        "lowshot": "Measure classification from a few labels.",
        "retrieval": "Measure whether the nearest items have the same label.",
        "compare": "Compare encoders on the same images.",
        "report": "Write a page about a collection and its encoder.",
    },
    "Clean it": {
        "duplicates": "Find pictures that are there more than once.",
        "leaks": "Find pictures that are in two splits.",
        "outliers": "Find images that do not belong.",
        "label-errors": "Find labels that are probably wrong.",
        "clusters": "Group images that look alike.",
    },
    "Label": {
        "suggest": "Say which images to label next.",
        "coverage": "Say how far images are from the nearest labelled one.",
        "label": "Set labels from a table.",
        "annotate": "Add columns of your own from a table.",
        "classify": "Train, apply or export a classifier.",
        "score": "Write the loss of a training on each image of a store.",
        "finetune": "Train a classifier together with the network.",
        "field": "Compare runs by how many labels they need.",
    },
    "Keep a store": {
        "encoders": "List encoders; choose the default, rename or drop one.",
        "relocate": "Tell a store that its images have moved.",
        "sources": "List what index was given, or forget one.",
        "delete": "Delete items with their labels and vectors.",
        "optimize": "Drop unused vectors; index large collections for search.",
        "verify": "Check every byte of a store, and repair it.",
        "export-vectors": "Write items and vectors to a Parquet file.",
        "import-vectors": "Add items and vectors from a Parquet file.",
    },
}
OTHERS = "Other commands"
