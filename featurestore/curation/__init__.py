"""What is wrong with a collection, what is in it, and which images to label next. A store in, a report out; and copies deleted."""

from featurestore.curation.clusters import Cluster, ClusterItem, ClustersReport, clusters
from featurestore.curation.coverage import ClassCoverage, CoverageReport, FarItem, coverage
from featurestore.curation.duplicates import DuplicateGroup, DuplicateItem, DuplicatesReport, duplicates
from featurestore.curation.findings import Findings, check_columns, keep_columns
from featurestore.curation.label_errors import Evidence, LabelErrorsReport, Suspect, label_errors
from featurestore.curation.leaks import Leak, LeaksReport, leaks
from featurestore.curation.outliers import Outlier, OutliersReport, outliers
from featurestore.curation.removal import Removal, delete_copies
from featurestore.curation.simulation import SimulatedAccuracy, SimulationReport, simulate
from featurestore.curation.suggest import Suggestion, SuggestReport, suggest
from featurestore.rendering.galleries import Gallery, Picture

__all__ = [
    "ClassCoverage",
    "Cluster",
    "ClusterItem",
    "ClustersReport",
    "CoverageReport",
    "DuplicateGroup",
    "DuplicateItem",
    "DuplicatesReport",
    "Evidence",
    "FarItem",
    "Findings",
    "Gallery",
    "LabelErrorsReport",
    "Leak",
    "LeaksReport",
    "Outlier",
    "OutliersReport",
    "Picture",
    "Removal",
    "SimulatedAccuracy",
    "SimulationReport",
    "SuggestReport",
    "Suggestion",
    "Suspect",
    "check_columns",
    "clusters",
    "coverage",
    "delete_copies",
    "duplicates",
    "keep_columns",
    "label_errors",
    "leaks",
    "outliers",
    "simulate",
    "suggest",
]
