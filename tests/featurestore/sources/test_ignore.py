"""Patterns in the form of .gitignore, by hand-made cases and against git itself."""

import fnmatch
import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest

from featurestore.sources.ignore import Excludes, IgnoreRules

# Lines of an ignore file, what they leave out, and what they do not.
CASES: dict[str, tuple[list[str], list[str], list[str]]] = {
    "a name anywhere": (["a.jpg"], ["a.jpg", "x/a.jpg", "x/y/a.jpg"], ["a.jpg2", "ba.jpg", "A.jpg"]),
    "a star": (["*_mask.png"], ["1_mask.png", "x/_mask.png"], ["1_mask.jpg", "mask.png"]),
    "anchored": (["/a"], ["a", "a/x.jpg"], ["x/a", "x/a/b"]),
    "anchored by a slash within": (["x/a"], ["x/a", "x/a/b"], ["y/x/a", "a"]),
    "a folder": (["thumbs/"], ["thumbs/1.jpg", "x/thumbs/1.jpg"], ["x/thumbs", "thumbs.jpg"]),
    "a star stops at a slash": (["x/*.jpg"], ["x/a.jpg"], ["x/y/a.jpg", "z/x/a.jpg"]),
    "stars above": (["**/a/b"], ["a/b", "x/a/b", "x/y/a/b"], ["xa/b", "a/c"]),
    "stars below": (["x/**"], ["x/a", "x/y/a"], ["x.jpg", "y/x/a"]),
    "stars between": (["x/**/a"], ["x/a", "x/y/a", "x/y/z/a"], ["xa", "y/x/a"]),
    "stars that are not alone": (["x**y"], ["xy", "xay"], ["x/y"]),
    "one letter": (["?.jpg"], ["a.jpg", "x/b.jpg"], ["ab.jpg", ".jpg"]),
    "a group": (["[ab]1", "[!c-e]2", "[]-]3"], ["a1", "b1", "f2", "]3", "-3"], ["c1", "c2", "d2", "a3"]),
    "a class": (["[[:digit:]]_"], ["1_"], ["a_"]),
    "negation": (["*.jpg", "!keep.jpg"], ["a.jpg", "x/b.jpg"], ["keep.jpg", "x/keep.jpg"]),
    "the last line decides": (["!a", "a", "!b", "b", "!b"], ["a"], ["b"]),
    "nothing comes back from a folder that is left out": (["x/", "!x/a"], ["x/a", "x/b"], ["a"]),
    "comments and blank lines": (["# a", "", "  ", r"\#b", r"\!c"], ["#b", "!c"], ["# a", "a", "b", "c"]),
    "spaces at the end": (["a  ", r"b\ "], ["a", "b "], ["a  ", "b"]),
    "what is not complete": (["[a", "b\\"], [], ["[a", "a", "b"]),
    "an escaped star": ([r"a\*"], ["a*"], ["ab"]),
    "windows line ends": (["a.jpg\r"], ["a.jpg"], []),
    "letters of other languages": (["Größe*"], ["Größe 図.png"], ["Grosse.png"]),
}
every_case = pytest.mark.parametrize(("lines", "out", "kept"), CASES.values(), ids=CASES)


@every_case
def test_patterns_mean_what_those_of_git_mean(lines: list[str], out: list[str], kept: list[str]) -> None:
    excludes = Excludes(IgnoreRules(lines))
    assert [path for path in (*out, *kept) if excludes.cover_file(path)] == out


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_git_agrees_with_the_cases(tmp_path: Path) -> None:
    for number, (lines, _, _) in enumerate(CASES.values()):
        if lines != ["a.jpg\r"]:  # git takes the \r as part of the name
            (tmp_path / f"{number}").mkdir()
            (tmp_path / f"{number}" / ".gitignore").write_text("\n".join(lines))
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    asked = [f"{n}/{path}" for n, (_, out, kept) in enumerate(CASES.values()) for path in (*out, *kept)]
    done = subprocess.run(
        ["git", "-C", tmp_path, "check-ignore", "--no-index", "-z", "--stdin"],
        input="\0".join(asked).encode(),
        capture_output=True,
    )
    found = set(done.stdout.decode().split("\0"))
    expected = {
        f"{n}/{path}" for n, (lines, out, _) in enumerate(CASES.values()) for path in out if lines != ["a.jpg\r"]
    }
    assert found - {""} == expected


@pytest.mark.parametrize("part", ["*", "*?", "*[!q]", "*o"])
def test_patterns_of_many_stars_end(part: str) -> None:
    path = "a/good/folder/" + "photo_of_oboe_" * 10
    assert IgnoreRules([part * 30 + "Z"]).verdict(path, False) is None


def test_several_stars_match_as_those_of_fnmatch_do() -> None:
    names = ["".join(letters) for length in range(1, 7) for letters in product("ab", repeat=length)]
    for pattern in ("*a*b", "*a*a*", "*?*b", "a*b*a*", "*[!a]*a?*", "**a**ab"):
        assert [n for n in names if IgnoreRules([pattern]).verdict(n, False)] == fnmatch.filter(names, pattern)


def test_a_star_before_folders_is_tried_everywhere() -> None:
    rules = IgnoreRules(["*a/**/b*c"])
    assert all(rules.verdict(path, False) for path in ("a/bc", "xa/b/bc", "a/bx/b/bxc", "a/b/x/bc"))
    assert not any(rules.verdict(path, False) for path in ("a/bx/c", "x/a/bc", "a/b"))


def test_a_range_that_runs_backwards_is_no_rule() -> None:
    assert not IgnoreRules(["[z-a]"])


def test_inner_rules_come_before_outer_ones_and_those_given_before_all() -> None:
    excludes = Excludes(IgnoreRules(["never.jpg"])).within("", "*.jpg").within("x/", "!a.jpg\n!never.jpg\n/b.png")
    paths = ["a.jpg", "x/a.jpg", "x/c.jpg", "x/never.jpg", "x/b.png", "x/y/b.png", "b.png"]
    assert [path for path in paths if excludes.cover_file(path)] == ["a.jpg", "x/c.jpg", "x/never.jpg", "x/b.png"]
