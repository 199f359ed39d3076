"""Tables and columns of the catalog: types from the schema, meanings from here."""

import re

from docs.generator.text import table
from featurestore.catalog.schema import SCHEMA, SCHEMA_VERSION

COLUMNS = {
    "meta": ("One row about the catalog itself.", {"schema_version": "version of this schema", "next_item": "the next free id", "default_encoder": "fingerprint of the encoder that is used where none is named; empty: the oldest"}),
    "all_items": (
        "One row for each image that the store has known. The view `items` shows the rows whose `removed_at` is empty, without that column.",
        {
            "id": "never reused",
            "path": "absolute path, URL, or `CONTAINER::MEMBER`; unique",
            "label": "text; empty where there is no label, or several",
            "labels": "all labels of an item with several, sorted and distinct; otherwise empty",
            "label_source": "where label or labels come from: `classifier`, `folder`, `file` or `person`; empty: not known, set before schema 5",
            "labelled_by": "who gave the label, where a person gave it by hand and said who; otherwise empty",
            "labelled_at": "when the label was given; empty: not known, given before schema 8",
            "split": "`train`, `val`, `test` or your own",
            "split_source": "where the split comes from, as for the label",
            "width": "pixels, after EXIF orientation",
            "height": "pixels, after EXIF orientation",
            "brightness": "mean luma (ITU-R BT.601) of the whole picture, 0 (black) to 1; empty, with the next three, for items that were indexed before schema 7 or decoded very small, until `outliers` fills them",
            "contrast": "standard deviation of luma, 0 (one colour) to 0.5",
            "sharpness": "0 to 1: energy of the Laplacian of luma over energy of its gradient; less for a blurred copy, the same with less contrast; 0 for one colour",
            "colourfulness": "0 (grey) to 1 (Hasler and Süsstrunk 2003)",
            "bytes": "size of the file",
            "mtime_ns": "time of the last change of the file, in nanoseconds; of an image in a container, that of the container",
            "sha256": "of the file's bytes",
            "added_at": "when the item was first indexed",
            "removed_at": "when the file was found missing or not to be an image; empty while it is there",
        },
    ),
    "encoders": (
        "One row for each encoder of the store.",
        {
            "fingerprint": "SHA-256 of the ONNX file",
            "name": "short name, such as `simclr-9b540aa0`",
            "dim": "length of a vector",
            "rows": "rows of its vector file that count",
            "card": "JSON: the card of the encoder file",
            "added_at": "when it was first used in this store",
            "file": "name of its vector file in `vectors/`",
        },
    ),
    "vectors": (
        "One row for each vector of an item.",
        {
            "item": "id of the item",
            "encoder": "fingerprint of the encoder",
            "row": "position in the vector file",
            "sha256": "content of the image that was encoded",
        },
    ),
    "blocks": (
        "Checksums of the vector files. A block is what one commit appended. Blocks follow each other without gaps.",
        {
            "encoder": "fingerprint of the encoder",
            "first": "first row of the block",
            "rows": "number of rows",
            "sha256": "of the bytes of these rows",
        },
    ),
    "failures": (
        "One row for each file that could not be used.",
        {"path": "as in `all_items`", "reason": "one line", "seen_at": "when it failed last"},
    ),
    "indexes": (
        "One row for each search index.",
        {
            "encoder": "fingerprint of the encoder",
            "generation": "counts up with every new index",
            "file": "name of the file in `indexes/`",
            "vectors": "name of the vector file that it covers",
            "rows": "it covers the first so many rows of that file",
            "bytes": "size of the index file",
            "sha256": "of the index file",
            "card": "JSON: kind, settings, measured recall",
            "built_at": "when `optimize` built it",
        },
    ),
    "classifiers": (
        "One row for each classifier that `classify --train` made.",
        {
            "name": "also the name of the column that it fills",
            "encoder": "fingerprint of the encoder whose vectors it learned from",
            "method": "`logistic`, `nearest-mean` or `ridge`",
            "card": "JSON: classes, temperature, measured figures",
            "weights": "little-endian float32, C order, shape (D + 1, C): the factors of the vector, then the offsets",
            "sha256": "of card and weights",
            "trained_at": "when it was trained",
            "applied_at": "when its columns were last filled; empty: never",
        },
    ),
    "label_history": (
        "What labels and splits were before a change of them, for `label --undo`. One row for each item that a change touched.",
        {
            "change": "number; what one run set has the same",
            "command": "what made the change",
            "made_at": "when",
            "item": "id of the item",
            "label": "before the change",
            "labels": "before the change",
            "label_source": "before the change",
            "labelled_by": "before the change",
            "labelled_at": "before the change",
            "split": "before the change",
            "split_source": "before the change",
        },
    ),
    "deleted": (
        "One row for each item that was deleted. `index` passes over its path and its content.",
        {"path": "as in `all_items`; empty after `delete --forget`", "sha256": "of the file's bytes", "deleted_at": "when"},
    ),
    "sources": (
        "One row for each source that `index` was given.",
        {"path": "absolute path or URL", "added_at": "when it was first given", "exclude": "patterns of `--exclude`, which later runs keep"},
    ),
    "written_columns": (
        "One row for each column of `all_items` that a command wrote. Other columns beside ours are the user's, and so are all that no command is known to have written.",
        {"name": "of the column, in upper or lower case", "command": "that wrote it, such as `outliers`; only the same one replaces its values"},
    ),
    "settings": (
        "One row for each thing that users have settled for this store.",
        {"name": "what it is: `keys`, the keys of classes in the gallery", "value": "JSON"},
    ),
}  # fmt: skip


def catalog() -> str:
    """Every table and column with its type, read from the schema that is used."""
    parts = [f"The schema has version {SCHEMA_VERSION}."]
    for name, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\);", re.sub(r"--.*", "", SCHEMA), re.DOTALL):
        about, meanings = COLUMNS[name]
        columns = [tuple(column.split(maxsplit=1)) for column in body.replace("\n", " ").split(",")]
        rows = [(f"`{column}`", kind.strip(), meanings[column]) for column, kind in columns]
        parts += [f"### {name}", about, table(("column", "type", "meaning"), rows)]
    return "\n\n".join(parts)
