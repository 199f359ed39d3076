"""What a store keeps of work that can be done again."""

from collections.abc import Callable

from featurestore.errors import DiskError, StoreBusy, StoreUntrusted
from featurestore.progress import Listener
from featurestore.storage.storage import Storage
from featurestore.system.disk import create_folder


def keep(store: Storage, what: str, write: Callable[[], None], listener: Listener) -> None:
    """Let `write` put something into the folder `derived`, as the only writer; where that cannot be done, say that `what` are not kept."""
    try:
        with store.writing():
            create_folder(store.layout.derived)
            write()
    except (StoreBusy, DiskError, StoreUntrusted) as error:
        listener.note(f"{what} are not kept for next time: {error}")
