import tomllib
from pathlib import Path
from typing import Any

import pytest

from featurestore.errors import ConfigError
from trainers.config import recipes
from trainers.config.parse import over_file, parse_assignments, read_toml
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.methods.simclr import SimCLRSettings


def test_later_layers_win_and_the_method_brings_its_defaults() -> None:
    config = resolve({"method": "simclr", "epochs": 5, "image_size": 96}, {"epochs": 7, "simclr": {"temperature": 0.2}})
    assert (config.method, config.epochs) == ("simclr", 7)
    assert config.settings == SimCLRSettings(temperature=0.2)
    assert config.augment.blur == (0.5, 0.5)
    assert resolve({"method": "byol", "image_size": 96}).augment.blur == (1.0, 0.1)


def test_small_images_are_not_blurred_unless_asked() -> None:
    assert resolve({"image_size": 32}).augment.blur == (0.0, 0.0)
    assert resolve({"image_size": 32, "augment": {"blur": [0.5, 0.5]}}).augment.blur == (0.5, 0.5)


@pytest.mark.parametrize("method", ["byol", "simclr"])
def test_a_saved_configuration_reads_back_as_itself(method: str) -> None:
    config = resolve({"method": method, "minutes": 2, "augment": {"flip": 0}, "optimizer": {"name": "adamw"}})
    again = resolve(tomllib.loads(config.to_toml()))
    assert again == config
    assert again.hash() == config.hash()


def test_the_hash_follows_the_settings() -> None:
    assert resolve({"seed": 1}).hash() != resolve({"seed": 2}).hash()


def test_assignments_are_read_as_toml_or_as_text() -> None:
    layer = parse_assignments(["optimizer.lr=0.1", "augment.blur=[0.5, 0.5]", "backbone=resnet18", "epochs=3"])
    assert layer == {"optimizer": {"lr": 0.1}, "augment": {"blur": [0.5, 0.5]}, "backbone": "resnet18", "epochs": 3}


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ({"method": "nonsense"}, ["nonsense", "byol", "simclr"]),
        ({"epoch": 3}, ["epoch", "did you mean 'epochs'"]),
        ({"augment": {"flp": 0}}, ["augment.flp", "did you mean 'flip'"]),
        ({"method": "byol", "simclr": {"temperature": 1}}, ["simclr", "unknown"]),
        ({"method": "simclr", "simclr": {"temprature": 1}}, ["simclr.temprature", "temperature"]),
        ({"epochs": "many"}, ["epochs", "expected int", "many"]),
        ({"epochs": True}, ["epochs", "expected int"]),
        ({"optimizer": 3}, ["optimizer", "table"]),
        ({"optimizer": {"name": "sgdd"}}, ["optimizer.name", "'sgd'", "'adamw'"]),
        ({"augment": {"blur": [1]}}, ["augment.blur", "2 values"]),
        ({"augment": {"flip": 1.5}}, ["augment.flip", "probability"]),
        ({"augment": {"crop_min": 0}}, ["crop_min"]),
        ({"batch_size": 1}, ["batch_size", "at least 2"]),
        ({"minutes": -1}, ["minutes"]),
        ({"minutes": float("inf")}, ["minutes"]),
        ({"minutes": float("nan")}, ["minutes"]),
        ({"view_size": 0}, ["view_size"]),
        ({"optimizer": {"lr": 0}}, ["lr > 0"]),
        ({"method": "moco-v2", "moco-v2": {"queue": 0}}, ["moco-v2.queue = 0", "at least 1"]),
        ({"method": "jigsaw", "jigsaw": {"grid": 0}}, ["jigsaw.grid", "at least 1"]),
        ({"method": "jigsaw", "jigsaw": {"gap": 1.0}}, ["jigsaw.gap = 1.0", "share"]),
        ({"method": "mae", "mae": {"mask": 0.0}}, ["mae.mask", "share"]),
        ({"method": "mae", "mae": {"decoder_heads": 3}}, ["mae.decoder_dim", "multiple"]),
        ({"method": "byol", "byol": {"momentum": 1.5}}, ["byol.momentum", "share"]),
        ({"method": "simclr", "simclr": {"temperature": 0.0}}, ["simclr.temperature", "more than 0"]),
        ({"method": "dino", "dino": {"local_min": 0.6}}, ["dino.local_min", "dino.local_max"]),
    ],
)
def test_what_is_wrong_is_named(layer: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(layer)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_the_ends_of_ranges_that_make_sense_are_allowed() -> None:
    resolve({"method": "dino", "dino": {"local_crops": 0, "frozen_epochs": 0, "momentum": 1.0, "teacher_warmup": 0.0}})
    resolve({"method": "lejepa", "lejepa": {"weight": 0.0}})
    resolve({"method": "jigsaw", "jigsaw": {"gap": 0.0, "piece": 1.0}})


def test_another_optimiser_brings_its_own_decay_but_what_is_given_stays() -> None:
    """DINO's decay rises to 0.4, which is AdamW's kind; SGD would shrink everything to nothing by it."""
    sgd = resolve({"method": "dino", "optimizer": {"name": "sgd"}}).optimizer
    assert (sgd.lr, sgd.weight_decay, sgd.weight_decay_end) == (0.12, 5e-4, None)
    own = resolve({"method": "dino", "optimizer": {"name": "sgd", "weight_decay": 1e-4, "lr": 0.03}}).optimizer
    assert (own.lr, own.weight_decay, own.weight_decay_end) == (0.03, 1e-4, None)
    same = resolve({"method": "dino", "optimizer": {"name": "adamw"}}).optimizer
    assert (same.weight_decay, same.weight_decay_end) == (0.04, 0.4)


def test_the_recipe_gives_a_vit_adamw() -> None:
    recipe = recipes.choose(5000, "cuda")
    for method, lr in (("moco-v3", 1.5e-4), ("byol", 5e-4), ("dino", 1e-3)):
        optimizer = resolve({"method": method, "backbone": "vit_tiny_patch16_224"}, recipe=recipe).optimizer
        assert (optimizer.name, optimizer.lr) == ("adamw", lr)
    assert resolve({"method": "moco-v3"}, recipe=recipe).optimizer.name == "sgd"


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
    with pytest.raises(ConfigError, match="'dino': expected a table"):
        backbone(method="dino", dino=3)


def test_temperatures_of_short_trainings_are_low() -> None:
    recipe = recipes.choose(5000, "cuda")
    assert resolve({"method": "simclr", "minutes": 3}, recipe=recipe).settings.temperature == 0.2
    assert resolve({"method": "simclr"}, recipe=recipe).settings.temperature == 0.5


def test_an_assignment_without_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="key=value"):
        parse_assignments(["epochs"])


def test_unreadable_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a TOML file"):
        read_toml(tmp_path / "absent.toml")
    (tmp_path / "bad.toml").write_text("epochs = = 3")
    with pytest.raises(ConfigError, match="not valid TOML"):
        read_toml(tmp_path / "bad.toml")


def test_defaults_are_those_of_the_documented_command() -> None:
    config = resolve()
    assert (config.method, config.backbone, config.image_size) == ("byol", "resnet18", 32)
    assert isinstance(config, Config)


def test_what_a_file_chose_for_another_length_or_size_gives_way() -> None:
    file = {"minutes": 10.0, "epochs": 100, "image_size": 32, "view_size": 24, "augment": {"flip": 0}}
    sizes = {"image_size": 32, "view_size": 24}
    assert over_file(file, {"epochs": 5}) == {"epochs": 5, **sizes, "augment": {"flip": 0}}
    assert over_file(file, {"minutes": 3.0}) == {"minutes": 3.0, **sizes, "augment": {"flip": 0}}
    assert over_file(file, {"augment": {"hue": 0}}) == {"minutes": 10.0, **sizes, "augment": {"flip": 0, "hue": 0}}
    assert over_file({"epochs": 100}, {"minutes": 3.0}) == {"minutes": 3.0}
    assert "view_size" not in over_file(file, {"image_size": 64})
    assert over_file(file, {"image_size": 64, "view_size": 48})["view_size"] == 48
    assert over_file(file, {"image_size": 32})["view_size"] == 24
    assert over_file({"view_size": 24}, {"image_size": 32})["view_size"] == 24
    with pytest.raises(ConfigError, match="epochs and minutes: found both"):
        over_file({}, {"epochs": 1, "minutes": 1})
