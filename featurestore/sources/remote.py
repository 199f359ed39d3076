"""Folders behind a URL, through fsspec."""

from collections.abc import Iterator

from featurestore.errors import ImageError, SourceError
from featurestore.sources import filesystem
from featurestore.sources.base import Failure, ImageFile, Source, folder_labels, unfit_name
from featurestore.sources.folders import read_ignore_file
from featurestore.sources.formats import is_image_name
from featurestore.sources.ignore import IGNORE_FILE
from featurestore.sources.passed_over import EXCLUDED, PassedOver, unwanted
from featurestore.system.text import describe_error, printable


class RemoteFolder(Source):
    """All images below a URL, sorted; the same is passed over as in a folder, and files without the suffix of an image.

    Iterating raises SourceError with the reason when the folder cannot be listed.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        is_root = not url.partition("://")[2].strip("/")
        self.path = url if is_root else url.rstrip("/")
        self.prefix: str = url if is_root else self.path + "/"

    def __iter__(self) -> Iterator[ImageFile | Failure]:
        files, root = filesystem.file_system(self.path)
        try:
            files.invalidate_cache(root)
            found = filesystem.find_below(files, root)
        except Exception as error:  # clients of object stores raise nearly everything
            raise SourceError(
                f"{self.path!r}: expected a folder that can be listed; {describe_error(error)}"
            ) from error
        self.passed_over, excludes = PassedOver(), self.excludes
        if f"{root.rstrip('/')}/{IGNORE_FILE}" in found:
            excludes = excludes.within("", read_ignore_file(self.prefix + IGNORE_FILE))
        for inner, info in sorted(found.items()):
            within = inner[len(root.rstrip("/")) + 1 :]
            *folders, name = within.split("/")
            path = self.prefix + within
            if (kind := next(filter(None, map(unwanted, (*folders, name))), None)) is not None:
                self.passed_over.add(kind)
                continue
            if excludes and excludes.cover_file(within):
                self.passed_over.add(EXCLUDED)
                continue
            if isinstance(info, Exception):
                yield Failure(printable(path), f"a folder that cannot be listed; {describe_error(info)}")
            elif is_image_name(name):
                label, split = folder_labels([*self.place_folders, *folders])
                try:
                    with filesystem.as_image_errors():
                        state = filesystem.state_of(files, inner, info)
                    yield unfit_name(path) or ImageFile(path, label, split, *state)
                except ImageError as error:
                    yield Failure.of(path, error)
            else:
                self.passed_over.add_file(name, path.rpartition("/")[0])
