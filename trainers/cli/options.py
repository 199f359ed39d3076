"""Options that commands of training and export share."""

import click

from featurestore.errors import ConfigError


def _read(context: click.Context, option: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    from featurestore.imaging.preprocess import read_bands  # loads Pillow, which `--help` does not need

    try:
        return None if text is None else read_bands(text)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from error


bands_option = click.option(
    "--bands",
    callback=_read,
    metavar="R,G,B",
    help="Which bands of the images are read, counted from 1: three as colours, or one as grey.  [default: the colours]",
)
whiten_option = click.option(
    "--whiten/--no-whiten",
    default=True,
    show_default=True,
    help="Half-whiten the vectors, by training images and without labels; better nearest neighbours on most collections.",
)
