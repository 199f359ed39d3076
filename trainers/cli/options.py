"""Options that commands of training and export share."""

import click

from featurestore.errors import ConfigError
from featurestore.imaging.preprocess import read_bands


class Bands(click.ParamType[tuple[int, ...]]):
    """Three bands or one, counted from 1: 4,3,2."""

    name = "bands"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        try:
            return read_bands(str(value))
        except ConfigError as error:
            self.fail(str(error), param, ctx)


bands_option = click.option(
    "--bands",
    type=Bands(),
    metavar="R,G,B",
    help="Which bands of the images are read, counted from 1: three as colours, or one as grey.  [default: the colours]",
)
