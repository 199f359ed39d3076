"""A store with several encoders: one is the default, each has a name, and one can be dropped."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from featurestore import Encoder, FeatureStore
from featurestore.errors import ConfigError, EncoderError, EncoderNotInStore, SourceError, StoreCorrupt
from tests.featurestore.fakes import paint


@pytest.fixture
def both(store_path: Path, other_encoder: Path, colours: Path) -> FeatureStore:
    """The shared store with a second encoder."""
    FeatureStore.open(store_path, other_encoder).index(colours)
    return FeatureStore.open(store_path)


def names(store: FeatureStore) -> list[str]:
    return [encoder["name"] for encoder in store.info()["encoders"]]


def used(store: FeatureStore, encoder: str | Path | None = None) -> str:
    return store.knn(1, encoder=encoder).encoder


def test_the_first_encoder_is_the_default(both: FeatureStore, encoder: Path) -> None:
    assert used(both) == Encoder(encoder).fingerprint
    assert [e["default"] for e in both.info()["encoders"]] == [True, False]


def test_another_default(both: FeatureStore, other_encoder: Path) -> None:
    assert both.set_default_encoder("oth") == Encoder(other_encoder).name
    assert used(both) == used(FeatureStore.open(both.path)) == Encoder(other_encoder).fingerprint
    assert names(both)[0] == Encoder(other_encoder).name


def test_an_encoder_is_found_by_name_prefix_file_and_run(
    both: FeatureStore, other_encoder: Path, tmp_path: Path
) -> None:
    wanted = Encoder(other_encoder).fingerprint
    shutil.copy(other_encoder, tmp_path / "encoder.onnx")
    for said in (Encoder(other_encoder).name, "other", wanted[:8], wanted, other_encoder, tmp_path):
        assert used(both, said) == wanted
        assert used(FeatureStore.open(both.path, said)) == wanted
    for said in ("", "nothing", tmp_path / "absent.onnx"):
        with pytest.raises(EncoderNotInStore, match="does not name one encoder of this store, which has: quadrants-"):
            used(both, said)
    with pytest.raises(EncoderError, match=r"absent.onnx.*No such file or directory; check the path"):
        FeatureStore.open(both.path, tmp_path / "absent.onnx")


def test_an_encoder_is_renamed(both: FeatureStore) -> None:
    both.rename_encoder("oth", "second")
    assert names(both)[1] == "second"
    assert used(both, "second") == used(both, "sec")
    for name, reason in (
        ("second", "called so, or begins so"),
        ("sec", "called so, or begins so"),
        ("a b", "letters, digits"),
    ):
        with pytest.raises(ConfigError, match=reason):
            both.rename_encoder("quadrants", name)
    with pytest.raises(EncoderNotInStore, match=r"has: quadrants-\w{8} \(6 vectors\), second, fingerprint \w{8} \(6 v"):
        used(both, "absent")


def test_an_encoder_is_dropped_with_its_vectors_and_files(
    both: FeatureStore, encoder: Path, other_encoder: Path
) -> None:
    both.set_default_encoder("other")
    with pytest.raises(ConfigError, match=r"to drop other-\w{8}, give its whole name"):
        both.drop_encoder("other")
    assert both.drop_encoder(Encoder(other_encoder).name) == 6
    assert names(both) == [Encoder(encoder).name]
    prefix = Encoder(other_encoder).fingerprint[:16]
    assert [path for path in both.path.rglob("*") if path.name.startswith(prefix)] == []
    assert both.verify(both.path).findings == ()
    assert both.info()["items"] == 6


def test_what_a_stopped_drop_leaves_is_removed_and_what_another_catalog_may_know_is_not(
    both: FeatureStore, other_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = Encoder(other_encoder).fingerprint[:16]

    def left() -> set[str]:
        return {str(path.relative_to(both.path)) for path in both.path.rglob(f"*{prefix}*")}

    def drop(where: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(where, stopped)
            with pytest.raises(KeyboardInterrupt):
                both.drop_encoder(Encoder(other_encoder).name)

    def stopped(*arguments: Any) -> None:
        raise KeyboardInterrupt

    drop("featurestore.catalog.encoders.Encoders.drop")  # before the commit
    both.optimize()
    files = {f"encoders/{prefix}.onnx", f"vectors/{prefix}.f16"}
    assert (left(), len(names(both))) == (files, 2)
    drop("featurestore.maintenance.encoders.delete_within")  # after it
    assert left() == {*files, f"encoders/{prefix}.dropped"}
    found = {(finding.place, finding.damage) for finding in both.verify(both.path).findings}
    assert found == {(file, False) for file in left()}
    data = (both.path / "vectors" / f"{prefix}.f16").read_bytes()
    both.optimize()
    assert (left(), both.verify(both.path).findings) == (set(), ())

    (both.path / "vectors" / f"{prefix}.f16").write_bytes(data)  # as after an older catalog was put back
    both.optimize()
    assert len(left()) == 1
    assert both.verify(both.path, repair=True).damaged is False
    assert [name[:8] for name in left()] == ["damaged/"]


def test_an_encoder_that_a_classifier_needs_is_not_dropped(both: FeatureStore, other_encoder: Path) -> None:
    pytest.importorskip("sklearn")
    both.train_classifier("kind", "nearest-mean", encoder="other")
    with pytest.raises(ConfigError, match="needed by the classifier kind; drop that first"):
        both.drop_encoder(other_encoder)


def test_index_without_an_encoder_brings_all_up_to_date(both: FeatureStore, tmp_path: Path) -> None:
    report = both.index(paint(tmp_path / "more" / "violet.png", (200, 0, 255)).parent)
    assert (report.added, [other.added for other in report.others]) == (1, [1])
    assert [report.encoder, *(other.encoder for other in report.others)] == names(both)


def test_a_missing_encoder_does_not_stop_the_others(run: Any, both: FeatureStore, tmp_path: Path) -> None:
    first, second = (record for record in both.catalog.encoders.all())
    more = paint(tmp_path / "more" / "violet.png", (200, 0, 255)).parent
    both.layout.encoder_file(first.fingerprint).unlink()
    status, out, err = run("index", both.path, more)
    assert (status, out.split(",")[0]) == (1, "1 added")
    assert f"not run: {both.path}/encoders/{first.fingerprint[:16]}.onnx is missing; put the encoder {first.name} back there" in err  # fmt: skip
    both.layout.encoder_file(second.fingerprint).unlink()
    with pytest.raises(StoreCorrupt, match="is missing; put the encoder other-"):
        both.index(more)


def test_index_without_a_source_takes_those_of_before(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(tmp_path / "t" / ".hidden" / "four.png", (1, 2, 6))
    paint(tmp_path / "gone" / "five.png", (1, 2, 7))
    folder = paint(tmp_path / "s" / "a" / "one.png", (1, 2, 3)).parents[1]
    store = FeatureStore.open(tmp_path / "new.store", encoder)
    with pytest.raises(SourceError, match="is a new store; name where its images are"):
        store.index()
    assert not store.path.exists()
    store.index(folder)
    paint(folder / "b" / "two.png", (1, 2, 4))
    assert store.index().added == 1
    monkeypatch.chdir(folder)
    store.index("../t/.hidden")
    (tmp_path / "gone").rename(tmp_path / "elsewhere")
    store.index(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").rename(tmp_path / "away")
    paint(folder / "b" / "three.png", (1, 2, 5))
    report = store.index()  # passes over what is not there
    assert (report.added, report.removed) == (1, 0)
    known = [row["path"] for row in store.sql("SELECT path FROM sources ORDER BY path").to_pylist()]
    assert known == sorted(map(str, (folder, tmp_path / "elsewhere", tmp_path / "t" / ".hidden")))


def test_the_command_lists_chooses_names_and_drops(run: Any, both: FeatureStore, other_encoder: Path) -> None:
    status, out, _ = run("encoders", both.path)
    assert (status, [line.split()[1] for line in out.splitlines()[1:]]) == (0, ["(default)", "6"])
    assert run("encoders", both.path, "--default", "other")[1].splitlines()[1].startswith("other-")
    assert "second (default)" in run("encoders", both.path, "--name", "other", "second")[1]
    assert run("encoders", both.path, "--drop", "second")[2] == "second dropped with 6 vectors\n"
    assert run("encoders", both.path, "--drop", "x", "--default", "y")[0] == 2
    assert len(names(both)) == 1
