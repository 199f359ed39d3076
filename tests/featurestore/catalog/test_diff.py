"""Plans: which files a run of ingest has to encode."""

from collections.abc import Sequence

from featurestore.catalog import Batch, Catalog, FailedFile, ItemChange
from featurestore.catalog.diff import FOUND, Diff, FileToIngest, Scope, files_to_ingest
from featurestore.sources.formats import CONTAINER_SUFFIX
from featurestore.system.spool import Spool
from tests.featurestore.catalog.items import CARD, ENCODER, OTHER


def planned(
    catalog: Catalog, found: Spool, encoder: str = ENCODER, several: bool = False, by_folder: bool = False,
    claims: Sequence[Scope] = (), hidden: Sequence[str] = (),
) -> Diff:  # fmt: skip
    return catalog.changes.diff(encoder, found, several, by_folder, claims, hidden, CONTAINER_SUFFIX)


def listed(*files: tuple[str, str | None, int, int]) -> Spool:
    """Files found, in this order: path, label, size and time."""
    spool = Spool(FOUND)
    for place, (path, label, size, mtime_ns) in enumerate(files):
        spool.add((place, path, label, None, None, size, mtime_ns))
    return spool


def test_a_plan_holds_what_is_new_or_changed_in_the_order_of_the_files(filled: Catalog) -> None:
    found = listed(
        ("/p/9.png", "new", 1, 2),
        ("/p/4.png", None, 300, 400),
        ("/p/2.png", "rose", 300, 401),
        ("/p/1.png", "rose", 301, 400),
    )
    plan = planned(filled, found, claims=[Scope("/p/", False)])
    assert list(files_to_ingest(plan.todo)) == [
        FileToIngest("/p/9.png", "new", None, None, 1, 2, None, None, False, False, False),
        FileToIngest("/p/2.png", "rose", None, None, 300, 401, 2, "sha-2", False, True, False),
        FileToIngest("/p/1.png", "rose", None, None, 301, 400, 1, "sha-1", False, True, False),
    ]
    assert (plan.total, plan.next_item, plan.rows, plan.file) == (4, 5, 4, "eeeeeeeeeeeeeeee.f16")
    assert plan.removed.tolist() == [3]


def test_a_plan_by_folders_holds_unchanged_files_with_another_label(filled: Catalog) -> None:
    found = listed(("/p/1.png", "rose", 300, 400), ("/p/3.png", "lily", 300, 400))
    plan = planned(filled, found, by_folder=True)
    assert [(todo.path, todo.label, todo.unchanged) for todo in files_to_ingest(plan.todo)] == [
        ("/p/3.png", "lily", True)
    ]
    assert plan.removed.tolist() == []


def test_a_plan_for_an_encoder_without_vectors_holds_everything(filled: Catalog) -> None:
    filled.encoders.add(OTHER, "name-f", 12, CARD)
    plan = planned(filled, listed(("/p/1.png", None, 300, 400)), OTHER)
    assert [(todo.id, todo.sha256, todo.encoded) for todo in files_to_ingest(plan.todo)] == [(1, "sha-1", False)]


def test_a_plan_takes_a_file_of_several_sources_once(filled: Catalog) -> None:
    found = listed(("/p/8.png", "first", 1, 2), ("/p/7.png", None, 1, 2), ("/p/8.png", "second", 1, 2))
    plan = planned(filled, found, several=True)
    assert [(todo.path, todo.label) for todo in files_to_ingest(plan.todo)] == [
        ("/p/8.png", "first"),
        ("/p/7.png", None),
    ]
    assert plan.total == 2


def test_what_lies_in_a_hidden_place_has_not_vanished(filled: Catalog) -> None:
    filled.changes.commit(
        ENCODER, Batch([], [FailedFile(path, "cut off", True) for path in ("/p/sub/1.png", "/p/subway.png")], [], 5, 4)
    )
    plan = planned(
        filled, listed(("/p/1.png", None, 300, 400)), claims=[Scope("/p/", False)], hidden=["/p/sub", "/p/2.png"]
    )
    assert plan.removed.tolist() == [3, 4]
    assert plan.gone_failures == ["/p/subway.png"]


def test_a_folder_does_not_claim_what_lies_in_its_containers(filled: Catalog) -> None:
    inside = [
        ItemChange(n, True, path, None, None, 1, 1, 1, 1, f"sha-{n}", None)
        for n, path in ((5, "/p/a.tar::1.png"), (6, "/p/b.TAR::2.png"))
    ]
    filled.changes.commit(ENCODER, Batch(inside, [], [], 7, 4))
    for prefix, within, gone in (("/p/", False, [2, 3, 4]), ("/p/a.tar::", True, [5]), ("/p/", True, [5, 6])):
        plan = planned(filled, listed(("/p/1.png", None, 300, 400)), claims=[Scope(prefix, within)])
        assert plan.removed.tolist() == gone
