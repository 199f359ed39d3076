"""Recipes: the documented numbers, how they grow, and what they give way to."""

from trainers.config import recipes
from trainers.config.resolve import resolve


def test_recipes_give_the_documented_numbers() -> None:
    """docs/guides/recipes.md."""
    assert [recipes.batch_of(n, 32) for n in (10, 64, 500, 1000, 1024, 10**6)] == [16, 16, 64, 128, 256, 256]
    assert [recipes.batch_of(10**6, size) for size in (64, 65, 128, 224)] == [256, 128, 128, 64]
    assert [recipes.crop_of(size) for size in (8, 16, 24, 32, 224)] == [1.0, 1.0, 0.6667, 0.5, 0.5]
    assert [recipes.epochs_of(n) for n in (50, 1000, 7000, 10_000, 10**6)] == [800, 800, 290, 200, 50]
    assert [recipes.queue_of(n) for n in (10, 1000, 8192, 100_000, 200_000, 10**6)] == [
        16,
        256,
        4096,
        4096,
        65_536,
        65_536,
    ]
    assert [recipes.momentum_of(steps) for steps in (10, 250, 1000, 2500)] == [0.9, 0.9, 0.975, 0.99]
    assert [recipes.prototypes_of(n) for n in (100, 19_999, 20_000, 199_999, 200_000, 999_999, 10**6)] == [
        1024, 1024, 4096, 4096, 16_384, 16_384, 65_536,
    ]  # fmt: skip


def test_recipes_grow_with_the_collection_and_fewer_images_are_seen_more_often() -> None:
    sizes = [int(1.3**i) + 8 for i in range(60)]
    for growing in (lambda n: recipes.batch_of(n, 32), recipes.queue_of, recipes.prototypes_of):
        values = [growing(n) for n in sizes]
        assert values == sorted(values)
        assert all(v & (v - 1) == 0 for v in values)
    epochs = [recipes.epochs_of(n) for n in sizes]
    assert epochs == sorted(epochs, reverse=True)


def test_a_recipe_gives_way_to_each_setting_and_to_no_other() -> None:
    """Giving one setting of the optimiser leaves the recipe's choice of another."""
    recipe = recipes.choose(300_000, "cuda")
    plain = resolve({"method": "dino"}, recipe=recipe)
    assert (plain.batch_size, plain.epochs, plain.optimizer.warmup) == (256, 50, 0.1)
    assert (plain.settings.momentum, plain.settings.prototypes, plain.settings.teacher_temperature) == (
        0.996,
        16_384,
        0.07,
    )
    given = resolve(
        {"method": "dino", "epochs": 400, "optimizer": {"lr": 0.5}, "dino": {"momentum": 0.9}}, recipe=recipe
    )
    assert (given.epochs, given.optimizer.lr, given.optimizer.warmup) == (400, 0.5, 0.025)
    assert (given.settings.momentum, given.settings.prototypes) == (0.9, 16_384)
    moco = resolve({"method": "moco-v2"}, recipe=recipes.choose(1000, "cuda"))
    assert (moco.settings.queue, moco.settings.momentum) == (256, 0.99)
    assert resolve({"recipe": "none"}, recipe=recipe).epochs == 100
