"""The command that serves the gallery."""

from pathlib import Path

import click

from featurestore.cli.options import store_argument
from featurestore.storage import Storage
from featurestore.system.packages import require
from featurestore.system.terminal import print_line


@click.command()
@store_argument
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen at; the default is reached from this machine only.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port to listen at; 0 takes any that is free.",
)
@click.option("--no-browser", is_flag=True, help="Do not open the page in a browser.")
@click.option("--api-only", is_flag=True, help="Answer programs only, without the page.")
@click.option("--read-only", is_flag=True, help="Refuse everything that would change STORE.")
def serve(store: Path, host: str, port: int, no_browser: bool, api_only: bool, read_only: bool) -> None:
    """Show STORE in a browser, and answer programs by its REST API, until Ctrl-C.

    Prints one line when it answers: the address with its token. Who has the address sees the whole collection.
    """
    require("starlette", "uvicorn", extra="web")
    from featurestore.gallery.access import warnings_of  # here, since the web framework may not be installed
    from featurestore.gallery.gallery import Gallery
    from featurestore.gallery.server import GalleryServer, open_browser
    from featurestore.gallery.thumb_cache import ThumbCache, usual_folder

    def ready(address: str) -> None:
        print_line(address)
        if not (no_browser or api_only):
            open_browser(address)

    gallery = Gallery(Storage.open(store), ThumbCache(usual_folder()), read_only)
    server = GalleryServer(gallery, host, port, ready, with_page=not api_only)
    for warning in warnings_of(host):
        print_line(warning, err=True)
    server.run_until_told()
