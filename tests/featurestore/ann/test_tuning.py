"""Sizes of an index, and how far a search looks."""

import json

import pytest

from featurestore.ann.tuning import (
    LEAST_POINTS,
    POINTS,
    RERANK,
    IndexCard,
    IndexLayout,
    MeasuredRecall,
    SearchSetting,
    cheapest,
    code_bytes,
    worth_indexing,
)
from featurestore.errors import StoreError

GIB = 1 << 30

SETTINGS = (
    SearchSetting(10, 1.0, 4, 40, 0.99),
    SearchSetting(100, 1.0, 8, 200, 0.991),
    SearchSetting(10, 0.1, 12, 30, 0.992),
    SearchSetting(100, 0.1, 24, 300, 0.993),
)
CARD = IndexCard("IVF,RaBitQ", 100, 6400, 0.99, 2000, SETTINGS, ((1, 20, 0.5), (4, 40, 0.99)))


@pytest.mark.parametrize(
    ("count", "dim", "worth_it"),
    [(50_000, 400, True), (49_999, 4_096, False), (50_000, 399, False), (1_000_000, 19, False), (1_000_000, 20, True)],
)
def test_an_index_is_worth_it_for_many_vectors_of_many_numbers(count: int, dim: int, worth_it: bool) -> None:
    assert worth_indexing(count, dim) is worth_it


# -- layout


@pytest.mark.parametrize(
    ("count", "lists"),
    [(1, 1), (38, 1), (77, 1), (200, 5), (1_000, 25), (50_000, 894), (1_000_000, 4_000), (10_000_000, 7_113)],
)
def test_lists_grow_with_the_root_of_the_rows_and_less_in_large_collections(count: int, lists: int) -> None:
    layout = IndexLayout.choose(count, 384, 64 * GIB)
    assert layout.lists == lists
    assert layout.sample == min(count, POINTS * lists)


def test_the_sample_takes_the_memory_that_is_left() -> None:
    count, dim = 1_000_000, 384
    free = code_bytes(count, dim) + 8 * 4_000 * dim
    assert IndexLayout.choose(count, dim, free + 4 * dim * 100_000).sample == 100_000
    assert IndexLayout.choose(count, dim, free + 4 * dim * 4_000 * LEAST_POINTS).sample == 4_000 * LEAST_POINTS


def test_too_little_memory_is_refused_with_what_is_needed() -> None:
    count, dim = 1_000_000, 384
    needed = code_bytes(count, dim) + (8 + 4 * LEAST_POINTS) * 4_000 * dim
    with pytest.raises(StoreError) as caught:
        IndexLayout.choose(count, dim, 100_000_000)
    assert str(caught.value) == (
        f"an index over 1000000 vectors of 384 takes at least {needed / 1e6:.0f} MB to build, 100 MB are allowed; "
        "allow more by --memory"
    )
    with pytest.raises(StoreError):
        IndexLayout.choose(count, dim, needed - 1)
    assert IndexLayout.choose(count, dim, needed).lists == 4_000  # what the message says is enough


# -- what a search uses


@pytest.mark.parametrize(
    ("k", "share", "probes", "candidates"),
    [
        (10, 1.0, 4, 40),
        (1, 1.0, 4, 40),  # as for the next larger k
        (11, 1.0, 8, 200),
        (100, 1.0, 8, 200),
        (200, 1.0, 16, 400),  # scaled up
        (10, 0.1, 12, 30),
        (
            10,
            0.5,
            12,
            40,
        ),  # the lists of the next smaller share, which are further away, the candidates of the next larger
        (10, 0.01, 100, 30),  # more lists, for rows are fewer in each; no more than there are
        (10, 0.05, 24, 30),
        (100, 0.99, 24, 300),
        (400, 0.05, 100, 1200),
    ],
)
def test_a_search_visits_as_much_as_was_measured_or_more(k: int, share: float, probes: int, candidates: int) -> None:
    found = CARD.setting(k, share)
    assert (found.probes, found.candidates) == (probes, candidates)


def test_between_two_shares_the_smaller_recall_is_told() -> None:
    assert [CARD.setting(10, share).recall for share in (1.0, 0.5, 0.1)] == [0.99, 0.99, 0.992]


def test_a_card_goes_through_json() -> None:
    assert IndexCard.from_json(json.loads(json.dumps(CARD.to_json()))) == CARD
    assert CARD.recall == 0.99


# -- choosing by measurements


def test_the_cheapest_setting_that_reaches_the_target_is_chosen() -> None:
    rows_a_list = 100.0
    measured = [
        MeasuredRecall(1, 20, 0.90, 0.01),
        MeasuredRecall(2, 40, 0.97, 0.03),  # perhaps enough, perhaps not
        MeasuredRecall(2, 80, 0.97, 0.01),  # costs 2 lists and 80 exact scores
        MeasuredRecall(8, 20, 0.96, 0.005),  # 8 lists and 20
        MeasuredRecall(8, 80, 0.99, 0.001),
    ]
    costs = {one: one[0] * rows_a_list + RERANK * one[1] for one in measured}
    assert costs[measured[2]] == costs[measured[3]] == 1000
    assert cheapest(10, 1.0, rows_a_list, measured, 0.95) == SearchSetting(10, 1.0, 2, 80, 0.97)
    assert cheapest(10, 1.0, rows_a_list - 1, measured, 0.95) == SearchSetting(10, 1.0, 8, 20, 0.96)
    assert cheapest(10, 1.0, rows_a_list + 1, measured, 0.95) == SearchSetting(10, 1.0, 2, 80, 0.97)
    assert cheapest(10, 0.1, rows_a_list, measured, 0.98) == SearchSetting(10, 0.1, 8, 80, 0.99)


def test_when_no_setting_reaches_the_target_the_best_is_chosen_and_of_equals_the_cheapest() -> None:
    tried = [(1, 20, 0.5), (4, 20, 0.75), (2, 20, 0.75), (8, 80, 0.75)]
    measured = [MeasuredRecall(*one, margin=0.0) for one in tried]
    assert cheapest(10, 1.0, 10.0, measured, 0.9) == SearchSetting(10, 1.0, 2, 20, 0.75)
