"""What users say about items: labels, splits and columns of their own.

In come CSV and Parquet files whose rows name items by path or id; the values go into the catalog, and a report says how many items
got some and which rows are about no item. Labels come from files, and from persons who look at the items; ingest may also set them from folders. Programs
that measure something on the images fill a column, too.
"""

from featurestore.metadata.columns import AnnotateReport, annotate, check_names, drop_column, settle_types
from featurestore.metadata.labels import LabelReport, apply_labels, label, undo_labels
from featurestore.metadata.measured import MEASURED, check_measured, fill_measured
from featurestore.metadata.person_labels import given_labels, set_by_persons, undo_change
from featurestore.metadata.restored import apply_deleted

__all__ = [
    "MEASURED",
    "AnnotateReport",
    "LabelReport",
    "annotate",
    "apply_deleted",
    "apply_labels",
    "check_measured",
    "check_names",
    "drop_column",
    "fill_measured",
    "given_labels",
    "label",
    "set_by_persons",
    "settle_types",
    "undo_change",
    "undo_labels",
]
