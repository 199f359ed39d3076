import math
import tomllib
from pathlib import Path
from typing import Any

import pytest

from featurestore.errors import ConfigError
from featurestore.progress import Listener
from featurestore.sources import ImageFile
from trainers.config import recipes
from trainers.config.parse import over_file, parse_assignments, read_toml
from trainers.config.resolve import resolve
from trainers.config.settle import settle
from trainers.methods import METHODS
from trainers.methods.simclr import SimCLRSettings
from trainers.training.setup import preprocess_of


def test_later_layers_win_and_the_method_brings_its_defaults() -> None:
    config = resolve({"method": "simclr", "epochs": 5, "image_size": 96}, {"epochs": 7, "simclr": {"temperature": 0.2}})
    assert (config.method, config.epochs) == ("simclr", 7)
    assert config.settings == SimCLRSettings(temperature=0.2)
    assert config.augment.blur == (0.5, 0.5)
    assert resolve({"method": "byol", "image_size": 96}).augment.blur == (1.0, 0.1)


def test_small_images_are_not_blurred_unless_asked() -> None:
    assert resolve({"image_size": 64}).augment.blur == (0.0, 0.0)
    assert resolve({"image_size": 65}).augment.blur == (0.5, 0.5)
    assert resolve({"image_size": 65, "method": "byol"}).augment.blur == (1.0, 0.1)
    assert resolve({"image_size": 65, "view_size": 48}).augment.blur == (0.0, 0.0)
    assert resolve({"image_size": 32, "augment": {"blur": [0.5, 0.5]}}).augment.blur == (0.5, 0.5)


def test_what_is_given_survives_the_file() -> None:
    config = resolve({"minutes": 2, "augment": {"flip": 0}, "optimizer": {"name": "adamw"}})
    again = resolve(tomllib.loads(config.to_toml()))
    assert (again, again.minutes, again.augment.flip) == (config, 2.0, 0.0)


def test_hashes_are_those_of_earlier_versions() -> None:
    """Encoders and checkpoints carry them."""
    # What was the default then, and stands in the settings of their runs.
    optimizers = {"moco-v1": {"lr": 0.12, "weight_decay": 5e-4}}
    assert {name: resolve({"method": name, "optimizer": optimizers.get(name, {})}).hash() for name in METHODS} == {
        "byol": "b3451eaad69e380c", "dino": "347ed243c6fa0ec0", "ibot": "618f45417bb863f0", "jigsaw": "0b262ad5ab7bebd6", "lejepa": "b9224f8e6c80eda9",
        "mae": "4a07e9bc43f6bd23", "moco-v1": "cb232332f9f4a433", "moco-v2": "89fc938123c5206b",
        "moco-v3": "46de097f5fe6d7ef", "simclr": "03e8a646bcf166cc", "simclr-v2": "946de1a1c67cb645",
    }  # fmt: skip
    moco_v1 = {"method": "moco-v1", "optimizer": optimizers["moco-v1"], "moco-v1": {"groups": 8}}
    assert resolve(moco_v1).hash() == "dd59ef29c0d32a0e"
    assert resolve({"method": "moco-v2", "moco-v2": {"groups": 8}}).hash() == "8f754a5b8b84c203"
    # Settings that their configurations do not have; with other values they count.
    for name, later in (
        ("dino", {"dino": {"head_norm": True}}),
        ("byol", {"stem": "published"}),
        ("byol", {"byol": {"momentum_schedule": "constant"}}),
        ("mae", {"optimizer": {"betas": [0.9, 0.95]}}),
    ):
        assert resolve({"method": name, **later}).hash() != resolve({"method": name}).hash()
    vit = {"method": "dino", "backbone": "vit_tiny_patch16_224", "patch_size": 4}
    assert [
        resolve({"method": "byol"}, recipe=recipes.choose(5000, "cpu")).hash(),
        resolve({"method": "simclr", "minutes": 3.0}, recipe=recipes.choose(5000, "cpu")).hash(),
        resolve({"method": "moco-v2", "image_size": 96}, recipe=recipes.choose(1000, "cuda")).hash(),
        resolve(vit, recipe=recipes.choose(250_000, "cuda")).hash(),
    ] == ["3831dedc30ab34b2", "909671d580adbfb8", "cfe625266b5dce55", "b8f5e52ac1517b0c"]


def test_registers_are_in_the_hash_of_runs_that_have_them() -> None:
    vit = {"method": "dino", "backbone": "vit_tiny_patch16_224"}
    assert resolve(vit, {"registers": 0}).hash() == resolve(vit).hash() != resolve(vit, {"registers": 4}).hash()
    config = resolve(vit, {"registers": 4})
    assert resolve(tomllib.loads(config.to_toml())) == config


def test_bands_are_part_of_a_run_and_of_its_encoder() -> None:
    config = resolve({"method": "byol", "bands": [4, 3, 2]})
    assert resolve(tomllib.loads(config.to_toml())) == config
    assert config.hash() != resolve({"method": "byol"}).hash()
    assert preprocess_of(config).bands == (4, 3, 2)


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
        ({"bands": "4,3,2"}, ["bands", "a list", "4,3,2"]),
        ({"bands": [4, 3]}, ["bands = [4, 3]", "three or one"]),
        ({"bands": [0]}, ["bands = [0]", "at least 1"]),
        ({"augment": {"flip": 1.5}}, ["augment.flip = 1.5", "at least 0 and at most 1"]),
        (
            {"epochs": 0, "seed": -1},
            ["epochs = 0: expected at least 1 and at most 100000; seed = -1: expected at least 0"],
        ),
        (
            {"method": "mae", "mae": {"decoder_heads": 3}},
            ["mae.decoder_dim = 128", "a multiple of mae.decoder_heads (3)"],
        ),
        ({"method": "dino", "dino": {"local_min": 0.6}}, ["dino.local_min = 0.6", "at most dino.local_max (0.4)"]),
        ({"method": "simclr", "simclr": {"temperature": 0.0}}, ["simclr.temperature = 0.0", "more than 0"]),
    ],
)
def test_what_is_wrong_is_named(layer: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(layer)
    assert all(word in str(caught.value) for word in words), str(caught.value)


PROBABILITY = ([-0.01, 1.01], [0.0, 1.0])
LIMITS: dict[str, tuple[list[Any], list[Any]]] = {  # values just out of range, and values in it
    "image_size": ([0, 1, 7, 100_000], [8, 4096]),
    "view_size": ([0, 7, 4097], [8, 4096, None]),
    "epochs": ([0, 10**9], [1, 100_000]),
    "minutes": ([0.0, -1.0, 1e6, math.inf, math.nan], [0.01, None]),
    "batch_size": ([1, 100_000], [2]),
    "accumulate": ([0], [1]),
    "seed": ([-1, 2**63], [0]),
    "patch_size": ([0, 33], [1, 32, None]),  # image_size is 32
    "registers": ([-1], [0, 4]),
    "drop_path": ([-0.1, 1.0], [0.0, 0.99]),
    "devices": ([0], [1]),
    "workers": ([-1, 10_000], [0, None]),
    **{f"augment.{key}": PROBABILITY for key in ("flip", "jitter", "grey")},
    **{f"augment.{key}": ([(-0.01, 0.5), (0.5, 1.01)], [(0.0, 1.0)]) for key in ("blur", "solarize")},
    "augment.crop_min": ([0.0, 1.01], [0.01, 1.0]),  # crop_max is 1
    "augment.crop_max": ([0.19, 1.01], [0.2, 1.0]),  # crop_min is 0.2
    "augment.aspect": ([0.99, 11.0], [1.0]),
    "augment.rotate": ([-1.0, 181.0], [0.0, 180.0]),
    **{f"augment.{key}": ([-0.1, 2.1], [0.0, 2.0]) for key in ("brightness", "contrast", "saturation")},
    "augment.hue": ([-0.01, 0.51], [0.0, 0.5]),
    "optimizer.lr": ([0.0, 101.0, math.nan], [0.001, 10.0]),
    "optimizer.warmup": ([-0.01, 1.0], [0.0, 0.99]),
    "optimizer.weight_decay": ([-0.01, 1.0], [0.0]),
    "optimizer.weight_decay_end": ([-0.01, 1.0], [0.0, None]),
    "optimizer.momentum": ([-0.1, 1.0], [0.0, 0.99]),
    "optimizer.betas": ([(0.9, 1.0), (-0.1, 0.9)], [(0.0, 0.99)]),
    "optimizer.clip": ([-1.0], [0.0, 3.0]),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_value_out_of_range_is_refused_by_name(name: str) -> None:
    """The ranges of the methods' own settings are in methods/test_contract.py."""
    table, _, key = name.rpartition(".")

    def value_of(value: Any) -> Any:
        config = resolve({table: {key: value}} if table else {key: value})
        return getattr(getattr(config, table) if table else config, key)

    wrong, right = LIMITS[name]
    for value in wrong:
        with pytest.raises(ConfigError, match=rf"{table}\S+ = .*: expected"):
            value_of(value)
    assert [value_of(value) for value in right] == right


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"augment": {"flip": 50.0}}, "augment.flip = 50.0: expected at least 0 and at most 1; 50 percent is 0.5"),
        ({"byol": {"momentum": 99.0}}, "byol.momentum = 99.0: expected at least 0 and at most 1; 99 percent is 0.99"),
        (
            {"augment": {"crop_min": 1.0, "crop_max": 0.2}},
            "augment.crop_min = 1.0: expected more than 0 and at most augment.crop_max (0.2)",
        ),
        (
            {"augment": {"hue": 36.0}},
            "augment.hue = 36.0: expected at least 0 and at most 0.5 (share of the full circle, not degrees)",
        ),
        (
            {"optimizer": {"warmup": 200.0}},
            "optimizer.warmup = 200.0: expected at least 0 and less than 1 (share of the training, not epochs)",
        ),
    ],
)
def test_a_refusal_says_what_was_probably_meant(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve({"method": "byol", **given})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ({"method": "byol"}, []),
        ({"method": "dino", "backbone": "vit_tiny_patch16_224"}, []),
        ({"batch_size": 2}, ["batch_size = 2 is unusual: trainings have 8 to 65536"]),
        ({"minutes": 0.01}, ["minutes = 0.01 is unusual: trainings have 0.5 to 10080"]),
        ({"byol": {"momentum": 0.5}}, ["byol.momentum = 0.5 is unusual: trainings have 0.8 to 1"]),
        (
            {"method": "simclr", "simclr": {"temperature": 10.0}},
            ["simclr.temperature = 10.0 is unusual: trainings have 0.01 to 2"],
        ),
        (
            {"optimizer": {"lr": 10.0}},
            ["optimizer.lr = 10 is unusual for sgd, which trains with 0.001 to 2: the training will probably diverge"],
        ),
        (
            {"optimizer": {"name": "adamw", "lr": 1e-9}},
            [
                "optimizer.lr = 1e-09 is unusual for adamw, which trains with 1e-06 to 0.01: the training will hardly learn"
            ],
        ),
        ({"batch_size": 256}, ["a batch of 256 is more than the 100 images: each step takes all of them"]),
        (
            {"method": "moco-v2", "moco-v2": {"queue": 4096}},
            ["a queue of 4096 keys is longer than the 100 images: an image meets its own older keys as negatives"],
        ),
    ],
)
def test_what_is_allowed_but_probably_not_meant_is_noted(given: dict[str, Any], lines: list[str]) -> None:
    files = [ImageFile(f"{number}.png", None, None, 1, 0) for number in range(100)]
    given = {"backbone": "resnet18", "device": "cpu", **given}
    noted = settle(files, given, lambda *_: math.inf, Listener()).lines
    assert [
        line for line in noted if not line.startswith(("recipe for", "0.01 minutes")) and "epochs will take" not in line
    ] == lines


def test_another_optimiser_brings_its_own_decay_but_what_is_given_stays() -> None:
    """DINO's decay rises to 0.4, which is AdamW's kind; SGD would shrink everything to nothing by it."""
    sgd = resolve({"method": "dino", "optimizer": {"name": "sgd"}}).optimizer
    assert (sgd.lr, sgd.weight_decay, sgd.weight_decay_end) == (0.12, 5e-4, None)
    own = resolve({"method": "dino", "optimizer": {"name": "sgd", "weight_decay": 1e-4, "lr": 0.03}}).optimizer
    assert (own.lr, own.weight_decay, own.weight_decay_end) == (0.03, 1e-4, None)
    same = resolve({"method": "dino", "optimizer": {"name": "adamw"}}).optimizer
    assert (same.weight_decay, same.weight_decay_end) == (0.04, 0.4)


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
    assert resolve().to_table() == resolve({"method": "simclr", "backbone": "resnet18", "image_size": 32}).to_table()


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
