"""What the command `duplicates` lists and prints."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from featurestore import FeatureStore, curation
from featurestore.curation import duplicates
from tests.featurestore.commands import Run, answer
from tests.featurestore.curation.pictures import COPIES


def test_the_command(run: Run, pictures: FeatureStore) -> None:
    report = duplicates(pictures)
    assert answer(run, "duplicates", pictures.path) == json.loads(json.dumps(report.to_json()))
    status, out, err = run("duplicates", pictures.path, "-n", "2")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"3 groups among {report.n_items} items: 1 exact, 1 near, 1 mirrored"
    assert lines[1] == f"{report.superfluous} items seem superfluous; look at them before you delete any"
    assert out.count("keep ") == 2
    assert lines[-1] == "1 more group: see them with -n 3, or with --json"
    assert run("duplicates", pictures.path, "-n", "-1")[0] == 2


def test_a_limit_keeps_the_first_groups_and_the_counts_of_all(run: Run, pictures: FeatureStore) -> None:
    whole, first = answer(run, "duplicates", pictures.path), answer(run, "duplicates", pictures.path, "--limit", "1")
    assert first == whole | {"groups": whole["groups"][:1]}
    assert (first["kinds"], first["superfluous"]) == ({"exact": 1, "near": 1, "mirrored": 1}, 1 + len(COPIES))
    assert duplicates(pictures, limit=1).groups == duplicates(pictures).groups[:1]


def test_groups_cannot_be_numbered_while_they_are_deleted(run: Run, pictures: FeatureStore) -> None:
    assert "give one of the two" in run("duplicates", pictures.path, "--delete", "--yes", "--column")[2]


def test_the_command_says_what_it_could_not_see(run: Run, store_path: Path, colours: Path, tmp_path: Path) -> None:
    status, out, _ = run("duplicates", store_path)
    assert (status, out) == (0, "0 groups among 6 items\n")


def test_the_command_says_how_many_are_copies(
    run: Run, pictures: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = replace(duplicates(pictures), limit=0.981, precision=0.934)
    monkeypatch.setattr(curation, "duplicates", lambda *_: report)
    lines = run("duplicates", pictures.path)[1].splitlines()
    assert lines[2] == "93% of near and mirrored pairs are copies, by an estimate; their details agree by 0.981 or more"
