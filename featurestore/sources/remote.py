"""Folders behind a URL, through fsspec."""

from collections.abc import Iterator

from featurestore.errors import ImageError, SourceError
from featurestore.sources import filesystem
from featurestore.sources.base import Failure, ImageFile, Source, folder_labels, unfit_name
from featurestore.sources.folders import SkippedContainers
from featurestore.sources.formats import CONTAINERS, is_image_name, suffix
from featurestore.system.text import describe_error, printable


class RemoteFolder(Source):
    """All images below a URL, sorted; hidden files and those without the suffix of an image are skipped.

    Iterating raises SourceError with the reason when the folder cannot be listed.
    """

    def __init__(self, url: str) -> None:
        is_root = not url.partition("://")[2].strip("/")
        self.url = url if is_root else url.rstrip("/")
        self.prefix: str = url if is_root else self.url + "/"

    def __iter__(self) -> Iterator[ImageFile | Failure]:
        files, root = filesystem.file_system(self.url)
        try:
            files.invalidate_cache(root)
            found = filesystem.find_below(files, root)
        except Exception as error:  # clients of object stores raise nearly everything
            raise SourceError(f"{self.url!r}: expected a folder that can be listed; {describe_error(error)}") from error
        skipped = SkippedContainers()
        for inner, info in sorted(found.items()):
            within = inner[len(root.rstrip("/")) + 1 :]
            *folders, name = within.split("/")
            if any(part.startswith(".") for part in (*folders, name)):
                continue
            path = self.prefix + within
            if isinstance(info, Exception):
                yield Failure(printable(path), f"a folder that cannot be listed; {describe_error(info)}")
            elif is_image_name(name):
                label, split = folder_labels(folders)
                try:
                    with filesystem.as_image_errors():
                        state = filesystem.state_of(files, inner, info)
                    yield unfit_name(path) or ImageFile(path, label, split, *state)
                except ImageError as error:
                    yield Failure(path, str(error))
            elif (kind := suffix(name)) in CONTAINERS:
                skipped.add(path.rpartition("/")[0], kind)
        self.hint = skipped.hint()
