"""The cache of small pictures: bounded, the least used first, never half a picture, and never in the way."""

import os
import time
from pathlib import Path

import pytest

from featurestore.gallery.thumb_cache import ThumbCache, usual_folder

HASHES = [f"{number:064x}" for number in range(20)]


def picture(size: int) -> bytes:
    """What looks like a WebP of so many bytes."""
    return b"RIFF" + (size - 8).to_bytes(4, "little") + b"WEBP" + bytes(size - 12)


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_picture_comes_back(tmp_path: Path) -> None:
    cache = ThumbCache(tmp_path / "cache")
    assert cache.get(HASHES[0], "64") is None
    cache.put(HASHES[0], "64", picture(100))
    assert cache.get(HASHES[0], "64") == picture(100)
    assert cache.get(HASHES[0], "128") is None
    assert ThumbCache(tmp_path / "cache").get(HASHES[0], "64") == picture(100)


def test_the_least_used_are_deleted_first(tmp_path: Path) -> None:
    cache = ThumbCache(tmp_path, limit=1000)
    for sha256 in HASHES[:10]:
        cache.put(sha256, "64", picture(100))
    long_ago = time.time() - 10_000
    for number, path in enumerate(sorted(tmp_path.rglob("*.webp"))):
        os.utime(path, (long_ago + number, long_ago + number))
    assert cache.get(HASHES[0], "64") is not None  # used again
    cache.put(HASHES[10], "64", picture(100))
    left = [sha256 for sha256 in HASHES if cache.get(sha256, "64") is not None]
    assert left == [HASHES[0], *HASHES[3:11]]
    assert bytes_in(tmp_path) == 900


def test_what_other_servers_and_crashes_left_counts(tmp_path: Path) -> None:
    ThumbCache(tmp_path).put(HASHES[1], "64", picture(900))
    (tmp_path / HASHES[1][:2] / "0123.part").write_bytes(bytes(500))
    os.utime(tmp_path / HASHES[1][:2] / "0123.part", (1, 1))
    ThumbCache(tmp_path, limit=1000).put(HASHES[2], "64", picture(50))
    assert bytes_in(tmp_path) <= 950
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("broken", [b"", b"RIFF", picture(100)[:50], picture(100) + b"x", b"<html>"])
def test_half_a_picture_is_none(tmp_path: Path, broken: bytes) -> None:
    cache = ThumbCache(tmp_path)
    cache.put(HASHES[0], "64", broken)
    assert cache.get(HASHES[0], "64") is None


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "x" * 64, HASHES[0].upper() + "0", HASHES[0] + "\n"])
def test_what_is_no_hash_has_no_place(tmp_path: Path, name: str) -> None:
    cache = ThumbCache(tmp_path / "cache")
    cache.put(name, "64", picture(100))
    assert cache.get(name, "64") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["", "../64", "64-../x", "64.webp/", "64-", "64-a", "99999", "64\n"])
def test_what_is_no_form_has_no_place(tmp_path: Path, form: str) -> None:
    ThumbCache(tmp_path / "cache").put(HASHES[0], form, picture(100))
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    cache = ThumbCache(tmp_path / "cache")
    cache.put(HASHES[0], "64", picture(100))
    [kept] = (tmp_path / "cache").rglob("*.webp")
    kept.rename(tmp_path / "elsewhere")
    kept.symlink_to(tmp_path / "elsewhere")
    assert cache.get(HASHES[0], "64") is None
    cache.put(HASHES[0], "64", picture(200))
    assert (tmp_path / "elsewhere").read_bytes() == picture(100)
    assert cache.get(HASHES[0], "64") == picture(200)


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for cache in (ThumbCache(tmp_path / "file" / "cache"), ThumbCache(None)):
        cache.put(HASHES[0], "64", picture(100))
        assert cache.get(HASHES[0], "64") is None


def test_only_the_user_may_look(tmp_path: Path) -> None:
    ThumbCache(tmp_path / "cache").put(HASHES[0], "64", picture(100))
    [kept] = (tmp_path / "cache").rglob("*.webp")
    assert [oct(path.stat().st_mode & 0o077) for path in (kept, kept.parent)] == ["0o0", "0o0"]


def test_the_usual_folder_is_that_of_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert usual_folder() == tmp_path / "featurestore" / "thumbnails"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert usual_folder() == Path.home() / ".cache" / "featurestore" / "thumbnails"
