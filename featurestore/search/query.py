"""Turn queries into unit vectors: images, items of the store, vectors, or several of these with negative examples."""

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
from featurestore.imaging import Picture
from featurestore.rendering.query_image import QueryImage
from featurestore.search.query_path import check_query_path, item_paths

if TYPE_CHECKING:
    from featurestore.encoders import Encoder

GAMMA = 0.5  # weight of the mean of the negative examples; the mean of the others has weight 1
CANCELLED = 1e-3  # a shorter sum of unit vectors is nothing but rounding to float16
NAMED = 3  # problems that one message lists

Query: TypeAlias = Picture | int | np.integer[Any] | NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class QueryEncoder:
    """What turns queries into vectors of one encoder. Its functions are not called before a query needs them."""

    name: str  # of the encoder
    dim: int  # D
    open_encoder: Callable[[], "Encoder"]
    vectors_of: Callable[[Sequence[int]], tuple[NDArray[np.floating], list[str]]]  # of items: (n, D), and their paths
    ids_at: Callable[[Sequence[str]], dict[str, int]]  # of the items at some paths, where there are any


@dataclass(frozen=True, slots=True)
class QueryExample:
    """A query and its place in a file, such as "queries.txt, line 7", which is put before messages about it."""

    query: Query
    place: str = ""
    written: str = ""  # as the user wrote it


@dataclass(frozen=True, slots=True)
class QueryVector:
    """What to search for."""

    vector: NDArray[np.float32]  # (1, D), unit length
    item_ids: tuple[int, ...]  # of the items among the examples, named by id or by path
    shown: tuple[QueryImage, ...]  # the examples, negative ones last


def embed_query(
    queries: Query | Sequence[Query],
    encoder: QueryEncoder,
    exclude: Query | Sequence[Query] = (),
    weights: Sequence[float] | None = None,
) -> QueryVector:
    """Turn a query, or several examples and negative ones, into one vector.

    Examples x with weights w and negative examples y become unit(sum(w x) / sum(w) - GAMMA mean(y)). Source: Rocchio 1971, as in
    Manning, Raghavan and Schütze, Introduction to Information Retrieval, 9.1.1, with alpha = 0, beta = 1, gamma = GAMMA.
    Raises QueryError, ImageError; the message names all images and vectors that cannot be used.
    """
    wanted, unwanted = _as_list(queries), _as_list(exclude)
    if not wanted:
        raise QueryError("query: expected at least one example of what to search for, found none")
    w = _checked_weights(weights, len(wanted))
    single = len(wanted) == 1 and not unwanted
    examples = [QueryExample(query, "" if single else f"example {n}") for n, query in enumerate(wanted, start=1)]
    examples += [QueryExample(query, f"negative example {n}") for n, query in enumerate(unwanted, start=1)]
    vectors, shown = _embed(examples, encoder)
    items = _items(examples, encoder)
    if single:
        return QueryVector(vectors, _item_ids(items), tuple(shown))
    direction = w @ vectors[: len(wanted)] / w.sum()
    if unwanted:
        direction = direction - GAMMA * vectors[len(wanted) :].mean(axis=0)
    if np.linalg.norm(direction) < CANCELLED:
        raise QueryError("query: the examples cancel one another, so that no direction is left; leave one of them out")
    shown = [replace(one, negative=n >= len(wanted)) for n, one in enumerate(shown)]
    return QueryVector(unit_rows(direction[None]), _item_ids(items), tuple(shown))


def embed_queries(
    queries: Sequence[Query | QueryExample] | NDArray[np.floating], encoder: QueryEncoder
) -> list[QueryVector]:
    """Turn each of many queries, or each row of an array (Q, D), into a vector.

    Raises QueryError, ImageError; the message names all images and vectors that cannot be used, by their place or their number from 1.
    """
    if isinstance(queries, np.ndarray):
        units = _unit_array(queries, encoder)
        return [QueryVector(units[n : n + 1], (), (QueryImage(None, "a vector"),)) for n in range(len(units))]
    numbered = enumerate(queries, start=1)
    examples = [
        query if isinstance(query, QueryExample) else QueryExample(query, f"query {n}") for n, query in numbered
    ]
    vectors, shown = _embed(examples, encoder)
    return [
        QueryVector(vectors[n : n + 1], _item_ids([item]), (one,))
        for n, (item, one) in enumerate(zip(_items(examples, encoder), shown, strict=True))
    ]


def _embed(examples: Sequence[QueryExample], encoder: QueryEncoder) -> tuple[NDArray[np.float32], list[QueryImage]]:
    """Return the vector of each example, float32 (n, D), and how to show it; examples of one kind are embedded together."""
    vectors = np.empty((len(examples), encoder.dim), np.float32)
    shown = [QueryImage(None, "a vector")] * len(examples)
    items: dict[int, int] = {}
    pictures: dict[int, Picture] = {}
    problems: dict[int, FeatureStoreError] = {}
    for n, query in enumerate(example.query for example in examples):
        if _is_item(query):
            items[n] = int(query)
            continue
        try:
            if isinstance(query, bytes):
                pictures[n], shown[n] = query, QueryImage(None, "an image")
            elif isinstance(query, Image.Image):
                pictures[n], shown[n] = query, QueryImage(query, "an image")
            elif isinstance(query, (str, Path)):
                check_query_path(query, encoder.name)
                pictures[n], shown[n] = query, QueryImage(str(query), str(query))
            else:
                vectors[n] = _unit_vector(query, encoder)
        except FeatureStoreError as error:
            problems[n] = error
    if items:
        ids = sorted(set(items.values()))
        found, paths = _look_up(ids, encoder)
        for n, item in items.items():
            at = bisect_left(ids, item)
            vectors[n], shown[n] = found[at], QueryImage(paths[at], f"item {item}")
    if pictures:
        embedded = encoder.open_encoder().embed(pictures.values())
        places = list(pictures)
        vectors[[places[image.place] for image in embedded.images]] = embedded.vectors
        for failure in embedded.failures:
            name = f" {failure.path!r}" if failure.path else ""
            problems[places[failure.place]] = (
                QueryError(
                    f"query{name}: encoder {encoder.name} gave a vector that is zero or not finite; use another image"
                )
                if failure.readable
                else ImageError(f"query{name}: expected an image file; {failure.reason}")
            )
    if problems:
        messages = [": ".join(filter(None, (examples[n].place, str(problems[n])))) for n in sorted(problems)]
        first = problems[min(problems)]
        raise type(first)(_some(messages, "; ")) from first
    return vectors, shown


def _look_up(ids: Sequence[int], encoder: QueryEncoder) -> tuple[NDArray[np.float32], list[str]]:
    for item in ids:
        if not 0 < item < 2**63:
            raise QueryError(f"item {item}: the store has no such item; ids begin at 1")
    vectors, paths = encoder.vectors_of(ids)
    units = unit_rows(vectors)
    damaged = np.flatnonzero(np.isnan(units).any(axis=1))
    if len(damaged):
        raise StoreCorrupt(f"item {ids[damaged[0]]}: its vector is damaged; see: featurestore verify STORE")
    return units, paths


def _unit_vector(query: object, encoder: QueryEncoder) -> NDArray[np.float32]:
    if not isinstance(query, np.ndarray):
        raise QueryError(
            f"query: expected the path of an image, its bytes, a PIL image, an item id or a vector; found {type(query).__name__}"
        )
    if query.shape != (encoder.dim,):
        raise QueryError(
            f"query vector: expected the shape ({encoder.dim},) of encoder {encoder.name}, found {query.shape}"
        )
    [unit] = unit_rows(_numbers(query[None]))
    if np.isnan(unit).any():
        raise QueryError("query vector: expected finite numbers that are not all zero")
    return np.asarray(unit)


def _unit_array(queries: NDArray[Any], encoder: QueryEncoder) -> NDArray[np.float32]:
    if queries.ndim != 2 or queries.shape[1] != encoder.dim:
        raise QueryError(
            f"query vectors: expected the shape (Q, {encoder.dim}) of encoder {encoder.name}, found {queries.shape}"
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
            f"weights: expected finite numbers above 0, found {listed}; name what you do not want as a negative example"
        )
    return np.asarray(w / w.max())


def _as_list(queries: Any) -> list[Any]:
    return list(queries) if isinstance(queries, (list, tuple)) else [queries]


def _is_item(query: object) -> TypeGuard[int | np.integer[Any]]:
    return isinstance(query, (int, np.integer)) and not isinstance(query, bool)


def _items(examples: Sequence[QueryExample], encoder: QueryEncoder) -> list[int | None]:
    """Give the item that each example is: by its id, or by its path, symbolic links followed; None where it is none."""
    paths = [item_paths(example.query) for example in examples]
    wanted = sorted({path for spelled in paths for path in spelled})
    known = encoder.ids_at(wanted) if wanted else {}
    return [
        int(example.query)
        if _is_item(example.query)
        else next((known[path] for path in spelled if path in known), None)
        for example, spelled in zip(examples, paths, strict=True)
    ]


def _item_ids(items: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(sorted({item for item in items if item is not None}))


def _some(texts: Sequence[str], separator: str) -> str:
    """Join the first texts, and say how many more there are."""
    more = [f"and {len(texts) - NAMED} more"] if len(texts) > NAMED else []
    return separator.join([*texts[:NAMED], *more])
