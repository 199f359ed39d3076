"""Recipes: the documented numbers, how they grow, and that what the user gives wins."""

import tomllib
from itertools import product
from typing import Any

import pytest

from featurestore.errors import ConfigError
from trainers.config import recipes
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.methods import METHODS, Situation
from trainers.methods.situation import crop_share, teacher_momentum


def own(name: str, key: str, sizes: list[int], view_size: int = 32, steps: int | None = 100_000) -> list[Any]:
    """Give what a method's recipe chooses for collections of these sizes."""
    return [METHODS[name].recipe(Situation(images, view_size, steps))[key] for images in sizes]


def test_recipes_give_the_documented_numbers() -> None:
    """docs/guides/recipes.md."""
    assert [recipes.batch_of(n, 32) for n in (10, 64, 500, 1000, 1024, 10**6)] == [16, 16, 64, 128, 256, 256]
    assert [recipes.batch_of(10**6, size) for size in (64, 65, 128, 224)] == [256, 128, 128, 64]
    assert [recipes.epochs_of(n) for n in (50, 1000, 7000, 10_000, 10**6)] == [800, 800, 290, 200, 50]
    assert [crop_share(size) for size in (8, 16, 24, 32, 224)] == [1.0, 1.0, 0.6667, 0.5, 0.5]
    sizes = [10, 1000, 8192, 100_000, 200_000, 10**6]
    assert own("moco-v2", "queue", sizes) == own("moco-v1", "queue", sizes) == [16, 256, 4096, 4096, 65_536, 65_536]
    assert own("moco-v2", "momentum", [199_999, 200_000]) == [0.99, 0.999]
    assert own("dino", "prototypes", [100, 19_999, 20_000, 199_999, 200_000, 999_999, 10**6]) == [
        1024, 1024, 4096, 4096, 16_384, 16_384, 65_536,
    ]  # fmt: skip
    assert own("dino", "teacher_temperature", [199_999, 200_000]) == [0.04, 0.07]
    lengths = (10, 250, 1000, 2500, 100_000, None)
    assert [teacher_momentum(Situation(10, 32, steps)) for steps in lengths] == [0.9, 0.9, 0.975, 0.99, 0.99, 0.99]
    assert [teacher_momentum(Situation(200_000, 32, steps)) for steps in (2500, 100_000, None)] == [0.99, 0.996, 0.996]
    assert own("dino", "momentum", [10], steps=10) == [0.97]
    for situation in (Situation(1000, 24, 50), Situation(10**6, 224, None)):
        assert METHODS["ibot"].recipe(situation) == METHODS["dino"].recipe(situation)
    temperatures = [METHODS["simclr"].recipe(Situation(1000, 32, steps)) for steps in (10, 15_999, 16_000, None)]
    assert temperatures == [{"temperature": 0.2}, {"temperature": 0.2}, {}, {"temperature": 0.2}]
    assert [recipes.batch_for_steps(256, seen) for seen in (1, 63_000, 64_000, 10**6)] == [32, 32, 64, 256]
    assert recipes.batch_for_steps(16, 10**6) == 16
    jigsaw = METHODS["jigsaw"].recipe
    assert jigsaw(Situation(10, 64, None)) == {"grid": 2, "orders": 24, "piece": 0.5}
    assert jigsaw(Situation(10, 65, None)) == {"grid": 3, "orders": 100, "piece": 0.33}


GIB = 2**30


@pytest.mark.parametrize(
    ("given", "batches"),  # on a processor, and with GPUs of 8, 16, 24, 48 and 80 GiB
    [
        ({"image_size": 64, "backbone": "resnet50"}, [256] * 6),
        ({"image_size": 128, "backbone": "resnet50"}, [128, 128, 256, 256, 256, 256]),
        ({"image_size": 224, "backbone": "resnet50"}, [64, 64, 64, 64, 128, 256]),
        ({"image_size": 224, "backbone": "resnet50", "view_size": 160}, [64, 64, 128, 128, 256, 256]),
        ({"image_size": 224, "backbone": "resnet50", "devices": 2}, [64, 64, 128, 128, 256, 256]),
        ({"image_size": 224, "backbone": "vit_small_patch16_224"}, [64, 64, 64, 64, 128, 256]),
        ({"image_size": 224, "backbone": "vit_small_patch16_224", "patch_size": 8}, [64, 64, 64, 64, 64, 64]),
        ({"image_size": 224}, [64, 64, 128, 128, 256, 256]),
        ({"image_size": 224, "backbone": "resnet18", "batch_size": 32}, [32] * 6),
    ],
)
def test_the_memory_of_a_gpu_allows_larger_batches(given: dict[str, Any], batches: list[int]) -> None:
    memories = [0, *(gib * GIB for gib in (8, 16, 24, 48, 80))]
    resolved = [resolve(given, recipe=recipes.choose(100_000, "cuda", memory)) for memory in memories]
    assert [config.batch_size for config in resolved] == batches
    assert resolve(given, recipe=recipes.choose(200, "cuda", 80 * GIB)).batch_size == min(32, batches[0])  # a quarter


def test_a_given_setting_wins_and_leaves_the_others_to_the_recipe() -> None:
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
    assert resolve({"recipe": "none"}, recipe=recipe).epochs == 100


def test_the_log_lists_what_the_recipe_chose_and_nothing_replaced() -> None:
    recipe, given = recipes.choose(1000, "cuda"), {"method": "byol", "epochs": 3, "byol": {"dim": 8}}
    lines = recipes.describe(recipe("byol", given), resolve(given, recipe=recipe).to_table())
    assert sorted(lines) == ["batch_size 128", "byol.momentum 0.9", "optimizer.warmup 0.1"]
    assert (
        resolve({"method": "byol", "epochs": 3, "batch_size": 10}, recipe=recipe).settings.momentum == 0.9167
    )  # of 300 steps


@pytest.mark.parametrize(
    "backbone",
    ["vit_tiny_patch16_224", "deit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "eva02_tiny_patch14_224"],
)
@pytest.mark.parametrize("length", [{}, {"minutes": 10.0}])
def test_the_recipe_gives_every_transformer_adamw_at_the_documented_rate(backbone: str, length: dict[str, Any]) -> None:
    """docs/guides/recipes.md."""
    recipe = recipes.choose(5000, "cuda")
    own = {
        "moco-v3": (1.5e-4, 0.1),
        "dino": (1e-3, 0.04),
        "ibot": (1e-3, 0.04),
        "mae": (1e-3, 0.05),
        "lejepa": (1e-3, 0.05),
    }
    for method in METHODS:
        optimizer = resolve({"method": method, "backbone": backbone, **length}, recipe=recipe).optimizer
        assert (optimizer.name, optimizer.lr, optimizer.weight_decay) == ("adamw", *own.get(method, (5e-4, 0.05)))


def test_other_networks_keep_the_optimiser_of_the_method() -> None:
    recipe = recipes.choose(5000, "cuda")
    assert resolve({"method": "byol", "backbone": "convnext_atto"}, recipe=recipe).optimizer.name == "sgd"
    assert resolve({"method": "moco-v3"}, recipe=recipe).optimizer.name == "sgd"


@pytest.mark.parametrize(
    "network", [{"backbone": "resnet18"}, {"backbone": "conv4"}, {"backbone": "convnext_atto"}, {}]
)
def test_dino_takes_its_authors_recipe_for_networks_without_attention(network: dict[str, Any]) -> None:
    """The section "ResNet-50 and other convnets trainings" of the README of their code; with few images a faster one."""
    for device in ("cpu", "cuda"):
        config = resolve({"method": "dino", **network}, recipe=recipes.choose(200_000, device))
        o, s = config.optimizer, config.settings
        assert (o.name, o.lr, o.momentum, o.weight_decay, o.weight_decay_end) == ("sgd", 0.03, 0.9, 1e-4, None)
        assert (config.drop_path, config.augment.crop_min) == (0.0, 0.14)
        assert (s.local_min, s.local_max, s.head_norm) == (0.05, 0.14, False)
        config = resolve({"method": "dino", **network}, recipe=recipes.choose(199_999, device))
        o, s = config.optimizer, config.settings
        assert (o.name, o.lr, o.momentum, o.weight_decay, o.weight_decay_end) == ("sgd", 0.12, 0.9, 5e-4, None)
        assert (config.drop_path, config.augment.crop_min) == (0.0, 0.4)
        assert (s.local_min, s.local_max, s.head_norm) == (0.1, 0.4, True)


def test_dino_keeps_its_recipe_for_vits_on_a_vit_and_without_recipe() -> None:
    recipe = recipes.choose(5000, "cuda")
    for given in (
        {"backbone": "vit_tiny_patch16_224"},
        {"backbone": "swin_tiny_patch4_window7_224"},
        {"recipe": "none"},
    ):
        config = resolve({"method": "dino", **given}, recipe=recipe)
        o = config.optimizer
        assert (o.name, o.lr, o.weight_decay, o.weight_decay_end, o.clip) == ("adamw", 1e-3, 0.04, 0.4, 3.0)
        assert (config.drop_path, config.augment.crop_min) == (0.1, 0.4)
        assert (config.settings.local_min, config.settings.local_max) == (0.1, 0.4)
        assert not config.settings.head_norm


def test_maes_adam_forgets_faster_except_in_runs_of_earlier_versions() -> None:
    """The paper, appendix A.1. Earlier versions had torch's 0.999 and no setting for it, so that their config.toml does not have it."""
    recipe = recipes.choose(5000, "cuda")
    config = resolve({"method": "mae"}, recipe=recipe)
    assert config.optimizer.betas == (0.9, 0.95)
    table = tomllib.loads(config.to_toml())
    assert resolve(table) == config
    assert resolve({"method": "mae", "optimizer": {"betas": [0.9, 0.99]}}, recipe=recipe).optimizer.betas == (0.9, 0.99)
    del table["optimizer"]["betas"]
    assert resolve(table).optimizer.betas == (0.9, 0.999)
    torchs = resolve({"method": "mae", "optimizer": {"betas": [0.9, 0.999]}}, recipe=recipe)
    assert resolve(tomllib.loads(torchs.to_toml()), recipe=recipe) == torchs
    assert resolve({"method": "byol", "backbone": "vit_tiny_patch16_224"}, recipe=recipe).optimizer.betas == (
        0.9,
        0.999,
    )


def test_what_is_given_wins_over_the_recipe_of_a_kind_of_network() -> None:
    recipe = recipes.choose(300_000, "cuda")

    def settled(**given: Any) -> Config:
        config = resolve({"method": "dino", "backbone": "resnet18", **given}, recipe=recipe)
        assert resolve(tomllib.loads(config.to_toml())) == config  # none of its values is only in the recipe
        return config

    mine = settled(drop_path=0.2, augment={"crop_min": 0.3}, dino={"local_max": 0.2}, optimizer={"lr": 0.1})
    assert (mine.drop_path, mine.augment.crop_min, mine.settings.local_max) == (0.2, 0.3, 0.2)
    assert (mine.optimizer.lr, mine.optimizer.weight_decay, mine.settings.local_min) == (0.1, 1e-4, 0.05)
    back = settled(optimizer={"name": "adamw"}).optimizer  # the method's own values for it
    assert (back.lr, back.weight_decay, back.weight_decay_end) == (1e-3, 0.04, 0.4)
    assert settled(optimizer={"name": "adamw", "lr": 5e-4}).optimizer.lr == 5e-4
    lars = settled(optimizer={"name": "lars"}).optimizer
    assert (lars.lr, lars.weight_decay, lars.weight_decay_end) == (0.3, 1e-6, None)


def test_a_processor_has_a_network_of_its_own_for_small_images() -> None:
    def backbone(device: str = "cpu", **given: Any) -> str:
        return resolve(given, recipe=recipes.choose(5000, device)).backbone

    assert backbone() == backbone(image_size=64) == "conv4"
    assert backbone(image_size=65) == backbone("cuda") == backbone(init="timm") == backbone(recipe="none") == "resnet18"
    assert backbone(backbone="resnet34") == "resnet34"
    # conv4 cannot take less than 16 px, whatever makes the picture so small
    for small in ({"image_size": 8}, {"view_size": 12}, {"method": "dino", "dino": {"local_size": 0.25}}):
        assert backbone(**small) == "resnet18"
    assert backbone(method="dino") == "conv4"
    assert backbone(method="mae") == "vit_tiny_patch16_224"
    with pytest.raises(ConfigError, match="'dino': expected a table"):
        backbone(method="dino", dino=3)


def test_temperatures_of_short_trainings_are_low() -> None:
    recipe = recipes.choose(5000, "cuda")
    assert resolve({"method": "simclr", "minutes": 3}, recipe=recipe).settings.temperature == 0.2
    assert resolve({"method": "simclr"}, recipe=recipe).settings.temperature == 0.2  # 7,600 steps
    assert resolve({"method": "simclr", "epochs": 1000}, recipe=recipe).settings.temperature == 0.5


@pytest.mark.parametrize(("size", "patch"), [(8, 1), (28, 2), (32, 4), (64, 8), (96, 8), (100, 10), (224, 16)])
def test_a_method_that_needs_a_vit_gets_a_small_one(size: int, patch: int) -> None:
    for device, method in product(("cpu", "cuda"), ("ibot", "mae")):
        layer = recipes.choose(1000, device)(method, {"image_size": size})
        assert (layer["backbone"], layer["patch_size"]) == ("vit_tiny_patch16_224", patch)
        for given in ({"backbone": "vit_small_patch16_224"}, {"init": "run"}):
            assert "backbone" not in recipes.choose(1000, device)(method, given)
