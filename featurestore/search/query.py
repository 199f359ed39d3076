"""What users search by, as unit vectors: images, items of the store, vectors, or several of these with negative ones."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurestore.ann.normalize import unit_rows
from featurestore.errors import FeatureStoreError, ImageError, QueryError, StoreCorrupt
from featurestore.imaging import decode as images
from featurestore.imaging import preprocess
from featurestore.rendering.shown import Shown
from featurestore.sources import read

if TYPE_CHECKING:
    from featurestore.encoders.encoder import Encoder

GAMMA = 0.5  # how much the mean of the negative examples counts against that of the others
CANCELLED = 1e-3  # a sum of unit vectors that is shorter is what rounding to float16 left over
BATCH = 16  # images that are encoded at a time
NAMED = 3  # problems that one message spells out

Picture: TypeAlias = str | Path | Image.Image
Query: TypeAlias = Picture | int | np.integer[Any] | NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Means:
    """What turns queries into vectors of one encoder; neither is called before a query needs it."""

    name: str  # of the encoder
    dim: int  # D
    open_encoder: Callable[[], "Encoder"]
    vectors_of: Callable[[Sequence[int]], tuple[NDArray[np.floating], list[str]]]  # of items: (n, D), and their paths


@dataclass(frozen=True, slots=True)
class Example:
    """A query with the place where it was named, such as "queries.txt, line 7", which messages begin with."""

    query: Query
    place: str = ""
    written: str = ""  # by the user


@dataclass(frozen=True, slots=True)
class Question:
    """A direction to search in."""

    vector: NDArray[np.float32]  # (1, D), unit length
    left_out: tuple[int, ...]  # ids of the items that were examples: they are no hits
    shown: tuple[Shown, ...]  # the examples, negative ones last


def look(
    queries: Query | Sequence[Query],
    means: Means,
    exclude: Query | Sequence[Query] = (),
    weights: Sequence[float] | None = None,
) -> Question:
    """Turn a query, or several examples and negative ones, into one direction.

    Examples x with weights w and negative examples y become unit(sum(w x) / sum(w) - GAMMA mean(y)). Source: Rocchio 1971, as in
    Manning, Raghavan and Schütze, Introduction to Information Retrieval, 9.1.1, with alpha = 0, beta = 1, gamma = GAMMA.
    Raises QueryError, ImageError; all images and vectors that cannot be used are named at once.
    """
    wanted, unwanted = _several(queries), _several(exclude)
    if not wanted:
        raise QueryError("query: expected at least one example of what to search for, found none")
    w = _checked_weights(weights, len(wanted))
    alone = len(wanted) == 1 and not unwanted
    examples = [Example(query, "" if alone else f"example {n}") for n, query in enumerate(wanted, start=1)]
    examples += [Example(query, f"negative example {n}") for n, query in enumerate(unwanted, start=1)]
    vectors, shown = _find(examples, means)
    if alone:
        return Question(vectors, _items(examples), tuple(shown))
    direction = w @ vectors[: len(wanted)] / w.sum()
    if unwanted:
        direction = direction - GAMMA * vectors[len(wanted) :].mean(axis=0)
    if np.linalg.norm(direction) < CANCELLED:
        raise QueryError("query: the examples cancel one another, and no direction is left; leave one of them out")
    shown = [replace(one, negative=n >= len(wanted)) for n, one in enumerate(shown)]
    return Question(unit_rows(direction[None]), _items(examples), tuple(shown))


def look_each(queries: Sequence[Query | Example] | NDArray[np.floating], means: Means) -> list[Question]:
    """Turn each of many queries, or of the rows of an array (Q, D), into a direction of its own.

    Raises QueryError, ImageError; all images and vectors that cannot be used are named at once, by their place or number from 1 on.
    """
    if isinstance(queries, np.ndarray):
        units = _unit_array(queries, means)
        return [Question(units[n : n + 1], (), (Shown(None, "a vector"),)) for n in range(len(units))]
    numbered = enumerate(queries, start=1)
    examples = [query if isinstance(query, Example) else Example(query, f"query {n}") for n, query in numbered]
    vectors, shown = _find(examples, means)
    return [
        Question(vectors[n : n + 1], _items([example]), (one,))
        for n, (example, one) in enumerate(zip(examples, shown, strict=True))
    ]


def _find(examples: Sequence[Example], means: Means) -> tuple[NDArray[np.float32], list[Shown]]:
    """Find the vector of each query, float32 (n, D), and what it looks like; queries of one kind are answered together."""
    vectors = np.full((len(examples), means.dim), np.nan, np.float32)
    shown = [Shown(None, "a vector")] * len(examples)
    items: dict[int, int] = {}
    pictures: dict[int, Picture] = {}
    problems: dict[int, FeatureStoreError] = {}
    for n, query in enumerate(example.query for example in examples):
        if _is_item(query):
            items[n] = int(query)
        elif isinstance(query, (str, Path, Image.Image)):
            pictures[n] = query
        else:
            try:
                vectors[n] = _unit_vector(query, means)
            except QueryError as error:
                problems[n] = error
    if items:
        ids = sorted(set(items.values()))
        found, paths = _look_up(ids, means)
        for n, item in items.items():
            at = bisect_left(ids, item)
            vectors[n], shown[n] = found[at], Shown(paths[at], f"item {item}")
    if pictures:
        problems |= _encode(pictures, means, vectors)
        shown = [_as_shown(pictures[n]) if n in pictures else one for n, one in enumerate(shown)]
    if problems:
        said = [": ".join(filter(None, (examples[n].place, str(problems[n])))) for n in sorted(problems)]
        first = problems[min(problems)]
        raise type(first)(_some(said, "; ")) from first
    return vectors, shown


def _look_up(ids: Sequence[int], means: Means) -> tuple[NDArray[np.float32], list[str]]:
    for item in ids:
        if not 0 < item < 2**63:
            raise QueryError(f"item {item}: the store has no such item; ids begin at 1")
    vectors, paths = means.vectors_of(ids)
    units = unit_rows(vectors)
    damaged = np.flatnonzero(np.isnan(units).any(axis=1))
    if len(damaged):
        raise StoreCorrupt(f"item {ids[damaged[0]]}: its vector is damaged; see: featurestore verify STORE")
    return units, paths


def _encode(pictures: dict[int, Picture], means: Means, vectors: NDArray[np.float32]) -> dict[int, FeatureStoreError]:
    """Fill in the vectors of images, by where they are asked for; returns the problems."""
    encoder = means.open_encoder()
    problems: dict[int, FeatureStoreError] = {}
    places = list(pictures)
    for start in range(0, len(places), BATCH):
        pixels: dict[int, NDArray[np.uint8]] = {}
        for n in places[start : start + BATCH]:
            try:
                pixels[n] = _pixels(pictures[n], encoder)
            except ImageError as error:
                problems[n] = error
        if problems:
            continue  # nothing will be answered: only what else cannot be read is still of interest
        for n, unit in zip(pixels, unit_rows(encoder.encode(np.stack(list(pixels.values())))), strict=True):
            vectors[n] = unit
            if np.isnan(unit).any():
                problems[n] = QueryError(
                    f"query: encoder {means.name} gave a vector that is zero or not finite; use another image"
                )
    return problems


def _pixels(picture: Picture, encoder: "Encoder") -> NDArray[np.uint8]:
    try:
        if isinstance(picture, Image.Image):
            return preprocess.apply(images.take(picture), encoder.preprocess)
        return preprocess.apply(
            images.decode(read(picture), shorter_side=encoder.preprocess.shorter_side), encoder.preprocess
        )
    except ImageError as error:
        name = "" if isinstance(picture, Image.Image) else f" {str(picture)!r}"
        raise ImageError(f"query{name}: expected an image file; {error}") from error


def _unit_vector(query: object, means: Means) -> NDArray[np.float32]:
    if not isinstance(query, np.ndarray):
        raise QueryError(
            f"query: expected the path of an image, a PIL image, an item id or a vector; found {type(query).__name__}"
        )
    if query.shape != (means.dim,):
        raise QueryError(
            f"query vector: expected the shape ({means.dim},) of encoder {means.name}, found {query.shape}"
        )
    [unit] = unit_rows(_numbers(query[None]))
    if np.isnan(unit).any():
        raise QueryError("query vector: expected finite numbers that are not all zero")
    return np.asarray(unit)


def _unit_array(queries: NDArray[Any], means: Means) -> NDArray[np.float32]:
    if queries.ndim != 2 or queries.shape[1] != means.dim:
        raise QueryError(
            f"query vectors: expected the shape (Q, {means.dim}) of encoder {means.name}, found {queries.shape}"
        )
    units = unit_rows(_numbers(queries))
    bad = [f"row {n}" for n in np.flatnonzero(np.isnan(units).any(axis=1))]
    if bad:
        raise QueryError(
            f"query vectors: expected finite numbers that are not all zero in each row, found others in {_some(bad, ', ')}"
        )
    return units


def _numbers(x: NDArray[Any]) -> NDArray[Any]:
    if x.dtype.kind not in "fiu":
        raise QueryError(f"query vector: expected numbers, found an array of {x.dtype}")
    return x


def _checked_weights(weights: Sequence[float] | None, examples: int) -> NDArray[np.float64]:
    if weights is None:
        return np.ones(examples)
    try:
        w = np.asarray(weights, np.float64)
    except (TypeError, ValueError) as error:
        raise QueryError(f"weights: expected numbers above 0, found {weights!r}") from error
    if w.shape != (examples,):
        raise QueryError(f"weights: expected one for each of the {examples} examples, found {w.size}")
    if not (np.isfinite(w).all() and (w > 0).all()):
        listed = _some([f"{x:g}" for x in w], ", ")
        raise QueryError(
            f"weights: expected finite numbers above 0, found {listed}; what is not wanted is a negative example"
        )
    return np.asarray(w / w.max())


def _several(queries: Any) -> list[Any]:
    return list(queries) if isinstance(queries, (list, tuple)) else [queries]


def _is_item(query: object) -> TypeGuard[int | np.integer[Any]]:
    return isinstance(query, (int, np.integer)) and not isinstance(query, bool)


def _items(examples: Sequence[Example]) -> tuple[int, ...]:
    return tuple(sorted({int(example.query) for example in examples if _is_item(example.query)}))


def _as_shown(picture: Picture) -> Shown:
    return Shown(picture, "an image") if isinstance(picture, Image.Image) else Shown(str(picture), str(picture))


def _some(texts: Sequence[str], separator: str) -> str:
    """List texts, but of many only the first."""
    more = [f"and {len(texts) - NAMED} more"] if len(texts) > NAMED else []
    return separator.join([*texts[:NAMED], *more])
