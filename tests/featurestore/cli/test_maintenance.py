"""The commands that keep a store in order, and those that move vectors: what they print and how they end."""

import json
from pathlib import Path

import pytest

from featurestore import FeatureStore
from tests.featurestore.commands import Run, answer
from tests.featurestore.fakes import paint


def vector_file(store: Path) -> Path:
    [path] = (store / "vectors").iterdir()
    return path


def damage(store: Path) -> None:
    data = bytearray(vector_file(store).read_bytes())
    data[7] ^= 1
    vector_file(store).write_bytes(data)


def test_delete_says_how_many(run: Run, store_path: Path) -> None:
    assert run("delete", store_path, "--where", "label = 'mixed'", "--dry-run") == (
        0,
        "2 items match, nothing was deleted\n",
        "",
    )
    assert run("delete", store_path, "--where", "label = 'mixed'") == (0, "2 items deleted\n", "")
    assert answer(run, "delete", store_path, "--where", "TRUE", "--dry-run") == {"deleted": 0, "matching": 4}
    assert answer(run, "delete", store_path, "--where", "TRUE") == {"deleted": 4, "matching": 4}


def test_delete_wants_a_where(run: Run, store_path: Path) -> None:
    assert run("delete", store_path)[0] == 2
    status, _, err = run("delete", store_path, "--where", "1=1; SELECT 1")
    assert (status, err.count("\n")) == (1, 1)
    assert "expected one expression over the columns of items" in err


def test_optimize_says_what_it_dropped(run: Run, store_path: Path) -> None:
    run("delete", store_path, "--where", "id < 3")
    status, out, err = run("optimize", store_path)
    assert (status, err) == (0, "")
    assert out.startswith("4 vectors kept, 2 dropped, ")
    found = answer(run, "optimize", store_path)
    assert (found["kept"], found["dropped"]) == (4, 0)
    assert 0 < found["bytes_after"] <= found["bytes_before"]


def test_verify_of_a_whole_store(run: Run, store_path: Path) -> None:
    status, out, err = run("verify", store_path)
    assert (status, err) == (0, "")
    assert out.startswith("no damage; 6 vectors read, 0.0 MB in ")
    assert answer(run, "verify", store_path)["damaged"] is False


def test_verify_names_damage_and_repairs_it(run: Run, store_path: Path, colours: Path) -> None:
    damage(store_path)
    status, out, err = run("verify", store_path)
    assert status == 1
    name, safe, repair, last = out.splitlines()
    assert (
        name == f"vectors/{vector_file(store_path).name}: 1 blocks are damaged or missing: the vectors of 6 of 6 items"
    )
    assert safe == "  safe:   items, labels and the vectors of 0 items"
    assert repair.startswith("  repair: writes the whole vectors into a new file and moves the damaged one to damaged/")
    assert last.startswith("1 damaged; 6 vectors read")
    assert err == f"to repair it: featurestore verify {store_path} --repair\n"
    status, out, _ = run("verify", store_path, "--json")
    assert (status, json.loads(out)["damaged"]) == (1, True)

    status, out, err = run("verify", store_path, "--repair")
    assert (status, err) == (0, "")
    assert "  repair: kept it as " in out
    assert run("verify", store_path)[0] == 0
    assert answer(run, "index", store_path, colours)["added"] == 6


def test_damage_met_by_a_search_points_to_verify(run: Run, store_path: Path, colours: Path) -> None:
    vector_file(store_path).unlink()
    status, _, err = run("search", store_path, colours / "primary" / "red.png")
    assert status == 1
    assert err.endswith(f"see what is left: featurestore verify {store_path}\n")


def test_vectors_go_out_and_come_in(run: Run, store_path: Path, tmp_path: Path, encoder: Path) -> None:
    file = tmp_path / "vectors.parquet"
    assert run("export-vectors", store_path, file) == (0, f"6 vectors written to {file}\n", "")
    assert answer(run, "export-vectors", store_path, file) == {"file": str(file), "vectors": 6}
    new = tmp_path / "new.store"
    assert run("import-vectors", new, file)[0] == 1
    assert run("import-vectors", new, file, "--encoder", encoder) == (0, "6 added, 0 unchanged, 0 conflicting\n", "")
    assert answer(run, "import-vectors", new, file) == {"added": 0, "unchanged": 6, "conflicting": 0}
    assert FeatureStore.open(new).info()["items"] == 6


@pytest.mark.parametrize(
    "command", [["optimize"], ["verify"], ["delete", "--where", "id = 1"], ["export-vectors", "x.parquet"]]
)
def test_a_store_that_is_not_there_is_one_line(run: Run, tmp_path: Path, command: list[str]) -> None:
    first, *rest = command
    status, out, err = run(first, tmp_path / "absent.store", *rest)
    assert (status, out) == (1, "")
    assert err.startswith("featurestore: no store at ")
    assert err.count("\n") == 1


def test_an_image_in_a_container_is_found_and_drawn(run: Run, tmp_path: Path, encoder: Path, colours: Path) -> None:
    import tarfile

    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        archive.add(colours, "colours")
    store = tmp_path / "my.store"
    report = answer(run, "index", store, tmp_path / "shard.tar", "--encoder", encoder, "--labels", "folders")
    assert report["added"] == 6
    red = paint(tmp_path / "red.png", (255, 0, 0))
    hits = answer(run, "search", store, red, "-k", "1", "--sheet", tmp_path / "hits.png")
    assert (hits[0]["path"], hits[0]["label"]) == (f"{tmp_path}/shard.tar::colours/primary/red.png", "primary")
    assert (tmp_path / "hits.png").stat().st_size > 1000
    again = answer(run, "search", store, hits[0]["path"], "-k", "1")  # a place in a container is a query like any other
    assert again[0]["id"] == hits[0]["id"]
    assert answer(run, "index", store, tmp_path)["removed"] == 0  # the folder around it does not list what is in it


def test_what_a_terminal_would_obey_is_spelt_out(run: Run, store_path: Path, colours: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(f"path,label\n{colours}/mixed/cyan.png,\x1b[31mred\x07\n")
    run("label", store_path, tmp_path / "labels.csv")
    _, out, _ = run("sql", store_path, "SELECT label FROM items WHERE id = 1")
    assert out.splitlines()[1] == r"\x1b[31mred\x07"


def test_a_provider_that_is_not_there_is_refused(run: Run, tmp_path: Path, encoder: Path, colours: Path) -> None:
    status, _, err = run("index", tmp_path / "my.store", colours, "--encoder", encoder, "--provider", "coreml")
    assert status == 1
    assert "coreml" in err
    assert not (tmp_path / "my.store").exists()
    assert run("index", tmp_path / "my.store", colours, "--encoder", encoder, "--provider", "abacus")[0] == 2
