"""Which images to label next."""

import csv
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.ann.faiss_index import finite_floats
from featurestore.catalog import ItemTable
from featurestore.curation.findings import Findings
from featurestore.curation.pool import Pool, Space
from featurestore.curation.strategies import STRATEGIES, probabilities
from featurestore.errors import ConfigError, EvaluationError
from featurestore.progress import Listener
from featurestore.rendering.galleries import Gallery, Picture
from featurestore.storage.item_graph import fold_contents
from featurestore.storage.labelled_items import class_codes, content_numbers
from featurestore.storage.storage import Storage
from featurestore.system.disk import atomic_write, require_suffix
from featurestore.system.packages import require
from featurestore.system.text import as_argument, counted

COUNT = 20
CANDIDATES, REFERENCES, LABELLED = 10_000, 4_000, 5_000  # drawn from all
RANDOM = 10  # every so many suggestions, one is random
LOSS = "ssl_loss"  # the column that `featurestore score` fills
NO_LOSS = "strategy 'loss' needs the column ssl_loss with values: featurestore score RUN STORE"

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An item to label."""

    id: int
    path: str
    random: bool  # drawn at random: with its label, it is part of an honest test set
    reason: str


@dataclass(frozen=True, slots=True)
class SuggestReport(Findings):
    """The items to label next, the most useful first, random ones last."""

    listed: ClassVar = "items"
    by: str  # the strategy
    seed: int
    n_labelled: int
    n_unlabelled: int
    items: list[Suggestion]

    @property
    def title(self) -> str:
        return "To label next"

    @property
    def summary(self) -> list[str]:
        return [
            f"{counted(len(self.items), 'image')} to label next, of {self.n_unlabelled:,} without a label ({self.n_labelled:,} have one)"
        ]

    def to_json(self) -> dict[str, Any]:
        facts = {name: getattr(self, name) for name in ("encoder", "by", "seed", "n_labelled", "n_unlabelled")}
        return {"protocol": "suggest", **facts, "items": [asdict(item) for item in self.items]}

    def to_arrow(self) -> pa.Table:
        return pa.table(
            {name: [getattr(item, name) for item in self.items] for name in Suggestion.__dataclass_fields__}
        )

    adds_to_columns: ClassVar[bool] = True

    @property
    def columns(self) -> pa.Table:
        """`suggested`: "random", or "chosen"."""
        how = ["random" if item.random else "chosen" for item in self.items]
        return pa.table(
            {"id": pa.array([item.id for item in self.items], pa.int64()), "suggested": pa.array(how, pa.string())}
        )

    def csv(self, path: str | Path) -> Path:
        """Write a table with the columns path, label (empty, to be filled in), random and reason. Raises ConfigError, DiskError."""
        require_table(path)
        text = StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(("path", "label", "random", "reason"))
        writer.writerows((item.path, "", str(item.random).lower(), item.reason) for item in self.items)
        with atomic_write(Path(path), "expected a name such as next.csv in an existing folder") as file:
            file.write(text.getvalue().encode())
        return Path(path)

    def galleries(self) -> list[Gallery]:
        found = []
        for title, drawn in (("chosen", False), ("drawn at random", True)):
            own = [Picture(item.path, f"id {item.id}", item.reason) for item in self.items if item.random == drawn]
            found += [Gallery(title, own)] if own else []
        return found


def suggest(
    store: Storage,
    count: int = COUNT,
    by: str = "auto",
    encoder: str | Path | None = None,
    where: str | None = None,
    seed: int = 0,
    listener: Listener | None = None,
) -> SuggestReport:
    """Choose unlabelled items to label next; every tenth one is drawn at random, so that accuracy can be measured on those.

    by: one of `STRATEGIES`. where: only items for which this SQL expression is true may be chosen; labels of all are used. Copies of a
    labelled item are not chosen, and of several copies one is. Raises ConfigError for an unknown strategy, without scikit-learn, or when
    `by` is "loss" and the column ssl_loss is missing; EvaluationError when everything is labelled; QueryError; EncoderNotInStore.
    """
    if by not in STRATEGIES:
        raise ConfigError(f"strategy {by!r}: expected one of {', '.join(STRATEGIES)}")
    if count < 1:
        raise ConfigError(f"{count} suggestions: expected at least 1")
    require("sklearn", extra="eval")
    (listener or Listener()).start("choosing", None)
    view = store.view(encoder)
    items = view.items
    one, several = (column.is_valid().to_numpy(zero_copy_only=False) for column in (items.labels, items.label_lists))
    known = one | several
    free = _free(store, items, known, None if where is None else store.view(encoder, where).items.ids)
    if not len(free):
        among = "" if where is None else f" where {where}"
        raise EvaluationError(
            f"no unlabelled image is left to suggest{among}: all {len(known):,} are labelled, copies of labelled ones, or left out"
        )
    losses = losses_of(store, items.ids) if by == "loss" else None
    if by == "loss" and losses is None:
        raise ConfigError(NO_LOSS)
    generator = np.random.default_rng([seed, int(known.sum())])
    candidates, references, labelled, others = (
        np.sort(generator.permutation(places)[:most])
        for places, most in ((free, CANDIDATES), (np.arange(len(known)), REFERENCES), (np.flatnonzero(one), LABELLED), (np.flatnonzero(several), LABELLED))
    )  # fmt: skip
    names, codes = class_codes(items.labels.take(pa.array(labelled)))
    x, r, own, more = (
        finite_floats(view.vectors[items.rows[places]]) for places in (candidates, references, labelled, others)
    )
    pool = Pool.of(Space(x, r), own, codes, None if losses is None else losses[references], more)
    chosen, at_random = choose(pool, by, count, generator)
    places = candidates[chosen]
    paths = items.paths.take(pa.array(places)).to_pylist()
    reasons = _reasons(pool, by, chosen, at_random, names.tolist())
    suggestions = [
        Suggestion(int(item), path, bool(drawn), reason)
        for item, path, drawn, reason in zip(items.ids[places], paths, at_random, reasons, strict=True)
    ]
    return SuggestReport(
        items.encoder.fingerprint,
        by,
        seed,
        int(known.sum()),
        len(known) - int(known.sum()),
        suggestions,
        bands=items.encoder.bands,
    )


def require_table(path: str | Path) -> None:
    """Raise ConfigError when a table of suggestions cannot have this name."""
    require_suffix(Path(path), (".csv",), "a table of suggestions")


def require_no_labels(store: Storage, path: str | Path) -> None:
    """Raise ConfigError when a table that is there already has labels that the store does not have: to replace it would lose them."""
    require_table(path)
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            filled = {row.get("path"): row.get("label") for row in csv.DictReader(file) if row.get("label")}
    except (OSError, UnicodeDecodeError, csv.Error):
        return  # there is none, or `atomic_write` says what is wrong
    items = store.view().items
    known = dict(zip(items.paths.to_pylist(), items.labels.to_pylist(), strict=True)) if filled else {}
    missing = sum(known.get(path) != label for path, label in filled.items())
    if missing:
        raise ConfigError(
            f"{path} has {counted(missing, 'label')} that the store does not have, and would be replaced; give them to it first: "
            f"featurestore label {as_argument(store.path)} {as_argument(path)}, or choose another name"
        )


def _free(store: Storage, items: ItemTable, known: Mask, wanted: Ints | None) -> Ints:
    """Give the places of the items that may be suggested: one of each content of which no item has a label; wanted: ids, None is all."""
    _, nodes = fold_contents(content_numbers(items.ids, *store.snapshots.now().twins()))
    eligible = ~np.isin(nodes, nodes[known])
    if wanted is not None:
        eligible &= np.isin(items.ids, wanted)
    free = np.flatnonzero(eligible)
    return free[np.sort(np.unique(nodes[free], return_index=True)[1])]


def choose(pool: Pool, strategy: str, count: int, generator: np.random.Generator) -> tuple[Ints, Mask]:
    """Choose candidates by a strategy, and every tenth one at random: places (count,), fewer where no more are free; and whether random."""
    drawn = STRATEGIES["random"](pool, -(-count // RANDOM) if count > 1 else 0, generator)
    left = min(count, int(pool.free.sum())) - len(drawn)
    others = STRATEGIES[strategy](pool.taking(drawn), left, generator) if left > 0 else drawn[:0]
    return np.concatenate([others, drawn]), np.r_[np.full(len(others), strategy == "random"), np.ones(len(drawn), bool)]


def losses_of(store: Storage, ids: Ints) -> NDArray[np.float32] | None:
    """Read the self-supervised losses of items, (n,), NaN where there is none; None where no item has one. Raises QueryError when the column has no numbers."""
    known = store.catalog.columns.numbers(LOSS)
    if known is None or not len(known[0]):
        return None
    found = np.full(len(ids), np.nan, np.float32)
    own, values = known
    _, here, there = np.intersect1d(ids, own, assume_unique=True, return_indices=True)
    found[here] = values[there]
    return found


def _reasons(pool: Pool, by: str, chosen: Ints, at_random: Mask, names: list[str]) -> list[str]:
    """Say in a few words why each candidate was chosen."""
    x = pool.space.candidates[chosen]
    between: list[str] = []
    if len(names) > 1:
        best = np.argsort(-probabilities(pool, x), axis=1)[:, :2].tolist()
        between = [f"{names[first]} or {names[second]}?" for first, second in best]
    usual = between
    if by in ("auto", "loss"):
        usual = [", ".join(parts) for parts in zip(_stands_for(pool, x), *([between] if between else []), strict=True)]
    elif by == "typical":
        usual = ["typical of a group without labels"] * len(x)
    elif by == "coreset":
        usual = ["far from all labelled images"] * len(x)
    return [
        "drawn at random, to measure by" if drawn else reason
        for drawn, reason in zip(at_random, usual or ["drawn at random"] * len(x), strict=True)
    ]


def _stands_for(pool: Pool, x: NDArray[np.float32]) -> list[str]:
    """Say for each of some vectors of how many references it is the nearest, of them and what is labelled."""
    coverage = pool.space.coverage(x)
    nearest = np.where(coverage.max(axis=0) > pool.covered, coverage.argmax(axis=0), len(x))
    shares = np.bincount(nearest, minlength=len(x) + 1)[: len(x)] / len(nearest)
    return [f"stands for {share:.1%} of the images" for share in shares.tolist()]
