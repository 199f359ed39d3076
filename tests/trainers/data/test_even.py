"""Every n-th item."""

import torch

from trainers.data.even import even_sample


def test_an_even_sample_has_at_most_so_many_items_from_everywhere() -> None:
    assert even_sample(list(range(10)), 10) == list(range(10))
    assert even_sample(list(range(11)), 10) == [0, 2, 4, 6, 8, 10]
    assert even_sample(list(range(10)), 4) == [0, 3, 6, 9]
    assert even_sample([], 4) == []
    assert even_sample(torch.arange(9), 3).tolist() == [0, 3, 6]
