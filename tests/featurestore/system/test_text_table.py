"""Tables as text."""

from featurestore.system.text_table import format_table


def test_columns_are_aligned_and_control_characters_spelled_out() -> None:
    lines = format_table(
        [(1, 0.5, "a\x1b[2J\n", None), (10, 12.25, "\udcff\x9b", "x")], ("n", "score", "path", "label")
    )
    assert lines == [
        " n    score  path          label",
        " 1   0.5000  a\\x1b[2J\\x0a",
        "10  12.2500  \\udcff\\x9b    x",
    ]
    assert format_table([], ("a", "b")) == ["a  b"]
    assert format_table([(1,)], ("\x1b[31mred",)) == ["\\x1b[31mred", "          1"]
