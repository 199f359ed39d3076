"""The progress bar says what its numbers are."""

from rich.progress import Progress

from featurestore.progress import columns


def test_counts_and_times_are_in_words() -> None:
    clock = [0.0]
    bar = Progress(get_time=lambda: clock[0], disable=True)

    def shown(total: int | None, *seconds: float) -> list[str]:
        task = bar.add_task("", total=total)
        for second in seconds:
            clock[0] = second
            bar.update(task, advance=11)
        return [str(column.render(bar.tasks[-1])) for column in columns()[2:4]]

    assert shown(None, 0, 1) == ["22", ""]
    assert shown(120) == ["  0/120", ""]
    assert shown(120, 2, 3, 4) == [" 33/120", "0:00:08 left"]  # 87 more at 11 a second
    assert shown(22, 5, 6) == ["22/22", ""]
