"""Files that version 0.1 wrote can still be opened: a store of schema 4, classifier files, a training run."""

import json
import sys
import tarfile
import tomllib
from collections.abc import Callable
from datetime import date
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

import trainers
from featurestore import Classifier, Encoder, FeatureStore
from featurestore.encoders.card import Card
from featurestore.imaging.load import Loaded, load
from trainers.export.torch_onnx import EncoderGraph

FILES = Path(__file__).parent / "files_of_version_0_1"
GOLDEN = Path(__file__).parent / "featurestore" / "golden"
PICTURE = GOLDEN / "picture.jpg"
STORE: dict[str, Any] = json.loads((FILES / "expected-v4.json").read_text(encoding="utf-8"))
RUN: dict[str, Any] = json.loads((FILES / "expected-run.json").read_text(encoding="utf-8"))
COLLECTION = Path(STORE["collection"])
ENCODER, TILES = STORE["encoders"]["golden"], STORE["encoders"]["quadrants"]
IDS: dict[str, int] = {item["path"]: item["id"] for item in STORE["items"]}
Command = Callable[..., str]


def unpack(name: str, folder: Path) -> Path:
    with tarfile.open(FILES / name) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two encoders with an index each: 19 photographs, of which some changed, vanished or broke, and 206 tiles."""
    return unpack("store-v4.tar.xz", tmp_path / "my.store")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of moco-v2 that was stopped within its third and last epoch."""
    return unpack("run.tar.xz", tmp_path / "run")


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """What the run was trained on, by digit and split."""
    from sklearn.datasets import load_digits

    known = load_digits()
    for digit in range(4):
        for number, at in enumerate(np.flatnonzero(known.target == digit)[:22]):
            path = tmp_path / "digits" / ("train" if number < 16 else "test") / str(digit) / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = (15 * known.images[at]).astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
            Image.fromarray(pixels).save(path)
    return tmp_path / "digits"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in this process, and give what it printed; it is to succeed."""

    def called(*words: str | Path) -> str:
        [installed] = entry_points(group="console_scripts", name="featurestore")
        monkeypatch.setattr(sys, "argv", ["featurestore", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            installed.load()()
        out, err = capsys.readouterr()
        assert not ended.value.code, err
        return out

    return called


def same(found: Any, expected: Any) -> bool:
    """Whether all that was said is still said, numbers nearly; there may be more of it."""
    match expected:
        case dict():
            return isinstance(found, dict) and all(key in found and same(found[key], expected[key]) for key in expected)
        case list():
            found = list(found)
            return len(found) == len(expected) and all(map(same, found, expected))
        case float():
            return bool(found == pytest.approx(expected, rel=1e-5, abs=1e-5))
    return bool((found.isoformat() if isinstance(found, date) else found) == expected)


def relative(path: str) -> str:
    return str(Path(path).relative_to(COLLECTION))


def ask(store: FeatureStore, search: dict[str, Any]) -> list[dict[str, Any]]:
    """Search as was searched then; the paths of hits are relative."""
    [(kind, said)] = search["query"].items()
    query = GOLDEN / said if kind == "picture" else np.array(said) if kind == "vector" else said
    matches = store.search(query, encoder=search["encoder"], **search["options"])
    assert matches.warnings == ()
    return [{**hit, "path": relative(hit["path"])} for hit in matches.to_json()]


def vector_of(encoder: Path, image: Path, folder: Path) -> NDArray[np.float32]:
    """The vector of an image as a store keeps it: of unit length, in float16."""
    (folder / "one").mkdir(exist_ok=True)
    (folder / "one" / image.name).write_bytes(image.read_bytes())
    store = FeatureStore.open(folder / f"{encoder.parent.name}-{encoder.stem}.store", encoder)
    store.index(folder / "one", workers=1)
    _, [vector], _ = store.features()
    return np.asarray(vector)


def unit(vector: list[float]) -> NDArray[np.float64]:
    return np.asarray(np.array(vector) / np.linalg.norm(vector))


# -- the store


def test_the_store_has_the_same_items_and_info(store: Path) -> None:
    opened = FeatureStore.open(store)
    items = opened.sql("SELECT * FROM items ORDER BY id").to_pylist()
    assert same([{**item, "path": relative(item["path"])} for item in items], STORE["items"])
    for item, expected in zip(items, STORE["items"], strict=True):
        for key in ("label", "split", "shelf", "note", "weight", "seen", "kind", "kind_confidence"):
            assert key in expected or item[key] is None  # what was missing
    assert same(opened.info(), STORE["info"])
    found = [{"path": relative(failure.path), "reason": failure.reason} for failure in opened.failures()]
    assert found == STORE["failures"]
    assert FeatureStore.verify(store).findings == ()


def test_its_indexes_are_used(store: Path) -> None:
    opened = FeatureStore.open(store)
    assert opened.slow() == []
    assert all(encoder["index"] for encoder in opened.info()["encoders"])
    [path] = (store / "indexes").glob(f"{TILES.rpartition('-')[2]}*")
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    damaged = FeatureStore.open(store)
    assert "index" in damaged.search(IDS["tiles/007.png"], encoder=TILES).warnings[0]
    assert [finding.place for finding in FeatureStore.verify(store).findings] == [f"indexes/{path.name}"]


def test_searches_figures_and_vectors_are_the_same(store: Path) -> None:
    opened = FeatureStore.open(store)
    for search in STORE["searches"]:
        assert same(ask(opened, search), search["hits"]), search["query"]
    expected = {
        key: value for key, value in STORE["knn"].items() if key != "seed"
    }  # of intervals, which were drawn then
    results = [{key: value for key, value in line.items() if key != "top1_ci95"} for line in expected["results"]]
    assert same(opened.knn(k=[1, 3, 5], encoder=ENCODER).to_json(), {**expected, "results": results})
    ids, vectors, _ = opened.features(encoder=ENCODER)
    for item, expected in STORE["vectors"].items():
        assert vectors[ids == int(item)][0] == pytest.approx(expected, abs=1e-5)
    graph = opened.neighbours(k=2, encoder=TILES)
    for item, nearest in STORE["neighbours"].items():
        assert graph.neighbours[graph.ids == int(item)][0].tolist() == nearest


def test_its_classifier_predicts_the_same(store: Path, tmp_path: Path, command: Command) -> None:
    opened = FeatureStore.open(store)
    question = "SELECT id, kind, kind_confidence FROM items WHERE kind IS NOT NULL ORDER BY id"
    before = opened.sql(question).to_pylist()
    assert opened.apply_classifier("kind").items == len(before)
    assert same(opened.sql(question).to_pylist(), before)
    command("classify", store, "--export", tmp_path / "again.onnx", "--name", "kind")
    assert same(dict(Classifier(tmp_path / "again.onnx").classify(PICTURE)), STORE["classifier"]["picture.jpg"])
    opened.drop_classifier("guess")
    assert opened.train_classifier("kind", encoder=ENCODER).n_train == STORE["classifier"]["figures"]["n_train"]


def test_the_store_can_be_extended(store: Path, tmp_path: Path) -> None:
    opened = FeatureStore.open(store, GOLDEN / "encoder.onnx")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "copy.jpg").write_bytes(
        PICTURE.read_bytes() + b"\0"
    )  # with the same bytes, it would be the item itself, moved
    (tmp_path / "more" / "shelves.csv").write_text("id,shelf\n20,7\n", encoding="utf-8")
    report = opened.index(tmp_path / "more", workers=1)
    assert (report.added, report.removed, report.failed) == (1, 0, 0)
    copy, picture = STORE["next_item"], IDS["photos/train/sand/picture.jpg"]
    [hit] = opened.search(copy, k=1, above=0.999).to_json()
    assert (hit["id"], hit["score"]) == (picture, pytest.approx(1, abs=1e-3))
    opened.annotate(tmp_path / "more" / "shelves.csv")
    assert opened.sql("SELECT id FROM items WHERE shelf = 7").to_pylist() == [{"id": 20}]
    assert opened.delete(f"id = {copy}") == 1
    assert FeatureStore.verify(store).findings == ()
    for search in STORE["searches"]:
        assert "where" in search["options"] or same(ask(opened, search), search["hits"])


def test_optimize_drops_unused_rows_only(store: Path) -> None:
    opened = FeatureStore.open(store)
    report = opened.optimize()
    assert (report.kept, report.dropped) == (STORE["removed_rows"]["kept"], STORE["removed_rows"]["dropped"])
    for search in STORE["searches"]:
        assert same(ask(opened, search), search["hits"])
    assert FeatureStore.verify(store).findings == ()


def test_its_vectors_can_be_imported_elsewhere(store: Path, tmp_path: Path) -> None:
    written = FeatureStore.open(store).export_vectors(tmp_path / "vectors.parquet", encoder=ENCODER)
    other = FeatureStore.open(tmp_path / "other.store", GOLDEN / "encoder.onnx")
    assert other.import_vectors(tmp_path / "vectors.parquet").added == written == len(other.features()[0])


# -- classifiers


def test_an_exported_classifier_predicts_the_same(command: Command) -> None:
    classifier, expected = Classifier(FILES / "classifier.onnx"), STORE["classifier"]
    assert list(classifier.classes) == expected["classes"]
    assert same(dict(classifier.classify(PICTURE)), expected["picture.jpg"])
    card = Encoder(FILES / "classifier.onnx").card
    assert (card.dim, card.method) == (expected["dim"], expected["method"])
    assert same(card.classifier, expected["figures"])
    [said] = json.loads(command("classify", FILES / "classifier.onnx", PICTURE, "--json"))
    assert same({found["label"]: found["probability"] for found in said["classes"]}, expected["picture.jpg"])


def test_a_finetuned_classifier_predicts_the_same(tmp_path: Path) -> None:
    file, expected = unpack("tuned.tar.xz", tmp_path / "tuned") / "classifier.onnx", RUN["tuned"]
    classifier = Classifier(file)
    assert list(classifier.classes) == expected["classes"]
    assert same(dict(classifier.classify(PICTURE)), expected["picture.jpg"])
    card = Encoder(file).card
    assert (card.dim, card.method) == (expected["dim"], expected["method"])
    assert same(card.classifier, expected["figures"])


def test_a_classifier_serves_as_an_encoder(tmp_path: Path) -> None:
    golden = STORE["vectors"][str(IDS["photos/train/sand/picture.jpg"])]
    assert vector_of(FILES / "classifier.onnx", PICTURE, tmp_path) == pytest.approx(golden, abs=1e-3)


# -- the run


def test_the_encoder_of_the_run_gives_the_same_vector(run: Path, tmp_path: Path) -> None:
    encoder = Encoder(run / "encoder.onnx")
    assert same(json.loads(encoder.card.to_json()), RUN["card"])
    found = vector_of(encoder.path, PICTURE, tmp_path)
    assert found == pytest.approx(unit(RUN["encoder.onnx"]), abs=1e-3)


@pytest.mark.slow
def test_the_run_is_exported_again(run: Path, tmp_path: Path, command: Command) -> None:
    command("export", run, "--out", tmp_path / "again.onnx")
    again = Encoder(tmp_path / "again.onnx")
    for key in ("method", "backbone", "branch", "dim", "trained_on"):
        assert getattr(again.card, key) == RUN["card"][key]
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    first = Encoder(run / "encoder.onnx").encode(pixels)
    np.testing.assert_allclose(again.encode(pixels), first, rtol=1e-4, atol=1e-4)
    assert vector_of(again.path, PICTURE, tmp_path) == pytest.approx(unit(RUN["export RUN"]), abs=1e-3)


@pytest.mark.parametrize("exports", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_run_is_resumed_to_its_end(
    run: Path, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exports: bool
) -> None:
    """The last two steps go as they would have gone: without its queue the loss is another, without its momenta the vector.

    The fast run has torch calculate the vector, and writes no encoder.
    """
    networks: list[EncoderGraph] = []
    if not exports:

        def keep(backbone: nn.Module, card: Card, out: Path, whitening: None) -> None:
            networks.append(EncoderGraph(backbone, card.preprocess).eval())

        monkeypatch.setattr("trainers.training.finish.export", keep)
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == RUN["metrics"]
    before = (run / "encoder.onnx").read_bytes()
    # There was no whitening, and no comparison.
    resumed = trainers.train(digits, run, labels="folders", resume=True, whiten=False, export="own")
    assert (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[: len(lines)] == lines
    *_, last = resumed.metrics
    expected = RUN["resumed"]
    assert (len(resumed.metrics), last["epoch"], last["step"]) == (3, expected["epoch"], expected["step"])
    assert last["loss"] == pytest.approx(expected["loss"], rel=1e-3)
    assert same(tomllib.loads((run / "config.toml").read_text(encoding="utf-8")), RUN["config"])
    if not exports:
        loaded = load(PICTURE, Encoder(resumed.encoder).card.preprocess)
        assert isinstance(loaded, Loaded)
        [found] = networks[0](torch.tensor(loaded.pixels[None])).tolist()
        assert unit(found) == pytest.approx(unit(expected["encoder.onnx"]), abs=2e-4)
        return
    found = vector_of(resumed.encoder, PICTURE, tmp_path)
    assert found == pytest.approx(unit(expected["encoder.onnx"]), abs=2e-4)
    assert (run / "encoder.onnx").read_bytes() != before
    assert Encoder(resumed.encoder).card.trained_on == RUN["images"]


@pytest.mark.slow
def test_another_run_starts_from_it(run: Path, digits: Path, tmp_path: Path, command: Command) -> None:
    """At a rate of nearly nothing, the weights stay what they were; its network and sizes are taken from it."""
    command(
        "train", digits, "--out", tmp_path / "next", "--init", run, "--method", "simclr", "--epochs", "1",
        "--batch-size", "16", "--device", "cpu", "--precision", "32-true", "--set", "optimizer.lr=1e-12",
        "--set", "simclr.hidden=16", "--set", "simclr.dim=8",
    )  # fmt: skip
    config = tomllib.loads((tmp_path / "next" / "config.toml").read_text(encoding="utf-8"))
    assert (config["backbone"], config["image_size"]) == (RUN["config"]["backbone"], RUN["config"]["image_size"])
    first, following = (weights(folder / "encoder.onnx") for folder in (run, tmp_path / "next"))
    assert (first == 0).mean() > 0.9  # as they are packed
    assert np.array_equal(first == 0, np.abs(following) < 1e-6)


def weights(file: Path) -> NDArray[np.float32]:
    """The largest array of weights in an ONNX file."""
    import onnx
    from onnx import numpy_helper

    arrays = [numpy_helper.to_array(tensor) for tensor in onnx.load(str(file)).graph.initializer]
    return max(arrays, key=lambda array: array.size)


@pytest.mark.slow
def test_a_classifier_is_finetuned_from_it(run: Path, digits: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "tuned"
    words = ("--head", "projection", "--epochs", "2", "--device", "cpu", "--json")
    found = json.loads(command("finetune", run, digits, "--out", out, *words))
    assert (found["method"], found["n_train"], found["n_test"]) == ("moco-v2-finetuned", 64, 24)
    assert Encoder(out / "classifier.onnx").card.trained_on == RUN["images"]
    said = dict(Classifier(out / "classifier.onnx").classify(next(digits.glob("test/0/*.png"))))
    assert sorted(said) == ["0", "1", "2", "3"]
    assert sum(said.values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_a_report_shows_the_run(store: Path, run: Path, tmp_path: Path, command: Command) -> None:
    command("report", store, "--encoder", ENCODER, "--run", run, "--out", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "teacher momentum" in page  # of its curves
    assert "picture.jpg" in page
