"""The report of a store: what its encoder sees, measured, shown and written as one HTML page, as Markdown or as JSON.

In: a store, an encoder's name, perhaps the folder of a training run. Out: a `Report`, whose `save` writes the file.
`build.build` makes one; it stands in its own module so that a command line can offer the formats below without loading the rest.
"""

from typing import Literal

Format = Literal["html", "md", "json"]
FORMATS: tuple[Format, ...] = ("html", "md", "json")
MAPS = ("pca", "tsne", "umap")  # methods that lay out the map
