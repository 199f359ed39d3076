"""`delete`, `optimize`, `verify`, `export-vectors` and `import-vectors`: what they print and their exit codes."""

import json
from pathlib import Path

from featurestore import FeatureStore
from tests.featurestore.commands import Run, answer


def vector_file(store: Path) -> Path:
    [path] = (store / "vectors").iterdir()
    return path


def damage(store: Path) -> None:
    data = bytearray(vector_file(store).read_bytes())
    data[7] ^= 1
    vector_file(store).write_bytes(data)


def test_delete_says_how_many(run: Run, store_path: Path) -> None:
    assert run("delete", store_path)[0] == 2  # without --where
    dry = run("delete", store_path, "--where", "label = 'mixed'", "--dry-run")
    assert dry == (0, "2 matching items, nothing was deleted\n", "")
    assert run("delete", store_path, "--where", "label = 'mixed'") == (0, "2 items deleted\n", "")
    assert answer(run, "delete", store_path, "--where", "TRUE", "--dry-run") == {"deleted": 0, "matching": 4}
    assert answer(run, "delete", store_path, "--where", "TRUE") == {"deleted": 4, "matching": 4}


def test_optimize_says_what_it_dropped(run: Run, store_path: Path) -> None:
    run("delete", store_path, "--where", "id < 3")
    status, out, err = run("optimize", store_path)
    assert (status, err) == (0, "")
    assert out.startswith("4 vectors kept, 2 dropped, ")
    assert out.endswith("its 4 vectors are searched exactly; an index makes searches faster from 1666667 vectors on\n")
    found = answer(run, "optimize", store_path)
    assert (found["kept"], found["dropped"]) == (4, 0)
    assert [(few["vectors"], few["least"]) for few in found["unindexed"]] == [(4, 1666667)]
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
    assert name.endswith(
        f"{vector_file(store_path).name}: 1 blocks are damaged or missing: the vectors of 6 of 6 items"
    )
    assert safe == "  safe:   items, labels and the vectors of 0 items"
    assert repair.startswith("  repair: copies the intact vectors to a new file and moves the damaged one to damaged/")
    assert last.startswith("1 damaged; 6 vectors read")
    assert err == f"to repair it: featurestore verify {store_path} --repair\n"
    status, out, _ = run("verify", store_path, "--json")
    assert (status, json.loads(out)["damaged"]) == (1, True)

    status, out, err = run("verify", store_path, "--repair")
    assert (status, err) == (0, "")
    assert "  repair: moved it to " in out
    assert run("verify", store_path)[0] == 0
    assert json.loads(run("index", store_path, colours, "--json")[1])["added"] == 6


def test_vectors_go_out_and_come_in(run: Run, store_path: Path, tmp_path: Path, encoder: Path) -> None:
    file = tmp_path / "vectors.parquet"
    assert run("export-vectors", store_path, file) == (0, f"6 vectors written to {file}\n", "")
    assert answer(run, "export-vectors", store_path, file) == {"file": str(file), "vectors": 6}
    status, _, err = run("export-vectors", store_path, tmp_path / "vectors.csv")
    assert (status, "a table of vectors is written as .parquet; found .csv; choose another name" in err) == (1, True)
    new = tmp_path / "new.store"
    assert run("import-vectors", new, file)[0] == 1
    assert run("import-vectors", new, file, "--encoder", encoder) == (0, "6 added, 0 unchanged, 0 conflicting\n", "")
    assert answer(run, "import-vectors", new, file) == {
        "added": 0,
        "unchanged": 6,
        "conflicting": 0,
        "deleted": 0,
        "failed": 0,
        "normalized": 0,
    }
    assert FeatureStore.open(new).info()["items"] == 6
