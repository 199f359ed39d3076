"""The report of a store: its figures gathered once, and written as a page, as Markdown or as JSON.

What a command line offers stands here, so that it can be told without loading the rest.
"""

from typing import Literal

Format = Literal["html", "md", "json"]
FORMATS: tuple[Format, ...] = ("html", "md", "json")
MAPS = ("pca", "tsne", "umap")  # ways to lay out the map
