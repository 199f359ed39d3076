"""What is taken for what: the confusion matrix as a heat map, and the commonest mistakes."""

import numpy as np

from featurestore.evaluation.knn import KnnReport
from featurestore.metrics.confusion import Confusion
from featurestore.rendering.html import text
from featurestore.report.blocks import Beside, Block, Cell, Drawn, Section, Table, Words, percent
from featurestore.report.figures import Figures
from featurestore.report.measures import of_classes

SHOWN = 20  # classes: more do not fit on a page
PAIRS = 10
BRIGHT = 0.55  # from this share on, numbers stand light on dark


def confusion(report: Figures, figures: KnnReport) -> Section:
    """The heat map, the commonest mistakes, and recall and precision of all classes."""
    shown = most_confused(figures.confusion, SHOWN)
    n = len(figures.confusion.labels)
    words = (
        "Each row is what the images of one class are taken for, in percent of that class: the diagonal, in blue, is right; mistakes "
        "are red, the stronger the more frequent."
    )
    if n > SHOWN:
        words += f" Shown are the {SHOWN} of {n:,} classes with most mistakes; what they are taken for beside these is left out."
    pairs: list[list[Cell]] = [[truth, said, times] for times, truth, said in figures.confusion.pairs()[:PAIRS]]
    classes: list[list[Cell]] = [
        [
            c.label,
            c.n,
            None if c.recall is None else percent(c.recall),
            None if c.precision is None else percent(c.precision),
        ]
        for c in figures.classes
    ]
    mistakes: list[Block] = [
        Words("The commonest mistakes:"),
        Table(("is", "was taken for", "times"), pairs, bars=True),
    ]
    blocks: list[Block] = [
        Words(words),
        Beside([Drawn(lambda _: _heat_map(shown, figures.confusion))], mistakes if pairs else []),
        Table(("class", "images", "recall, %", "precision, %"), classes, behind="Recall and precision of every class"),
        of_classes(report, figures),
    ]
    return Section("confusion", "What is taken for what", blocks)


def most_confused(matrix: Confusion, most: int) -> Confusion:
    """The classes with most mistakes, of theirs or for them, in the order they had."""
    counts = np.array(matrix.counts)
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    chosen = np.sort(np.argsort(-wrong, kind="stable")[:most])
    return Confusion([matrix.labels[i] for i in chosen], counts[np.ix_(chosen, chosen)].tolist())


def _heat_map(shown: Confusion, whole: Confusion) -> str:
    totals = dict(zip(whole.labels, map(sum, whole.counts), strict=True))
    heads = "".join(f'<th scope="col"><span>{text(label)}</span></th>' for label in shown.labels)
    lines = []
    for row, (truth, line) in enumerate(zip(shown.labels, shown.counts, strict=True)):
        cells = "".join(
            _cell(times, totals[truth], truth, said, row == column)
            for column, (said, times) in enumerate(zip(shown.labels, line, strict=True))
        )
        lines.append(f'<tr><th scope="row">{text(truth)}</th>{cells}</tr>')
    many = " many" if len(shown.labels) > 12 else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="confusion matrix"><table class="heat{many}">'
        f"<thead><tr><td></td>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(times: int, total: int, truth: str, said: str, is_right: bool) -> str:
    share = times / total if total else 0.0
    kind = ("right" if is_right else "wrong") + (" bright" if share >= BRIGHT else "")
    told = f"{times:,} of {total:,} of {truth} {'are named right' if is_right else f'are taken for {said}'}"
    shown = "" if not times else f"{100 * share:.0f}" if share >= 0.005 else "·"
    return f'<td class="{kind}" style="--share:{share:.3f}" title="{text(told)}">{shown}</td>'
