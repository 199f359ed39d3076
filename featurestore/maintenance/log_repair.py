"""A damaged log beside the catalog, which a power cut may leave: what was committed before the damage is kept."""

from featurestore.errors import DiskError
from featurestore.maintenance.backups import Backups
from featurestore.maintenance.findings import Finding
from featurestore.storage import Storage
from featurestore.system.disk import atomic_write

LOG = "WAL"  # its name in DuckDB's messages


def log_damage(store: Storage, backups: Backups, problem: str, repair: bool) -> Finding | None:
    """Describe a damaged log, and with `repair` cut it off before the damage; None when the problem is in the catalog's file itself.

    problem: why the catalog cannot be read. Raises DiskError.
    """
    log = store.layout.catalog_log
    if LOG not in problem or not log.exists():
        return None
    what = "keeps the log in damaged/ and cuts it off before the damage: what was committed before that stays"
    if repair:
        try:
            usable = store.catalog.usable_log()
            if usable is None:
                return None
            what = f"moved it to {backups.keep(log)}, and kept {len(usable)} of its {log.stat().st_size} bytes"
            with atomic_write(log, "run the same command again") as file:
                file.write(usable)
        except OSError as error:
            raise DiskError(
                f"{log} could not be repaired ({error.strerror}); free some space and run the same command again"
            ) from error
    safe = "the catalog up to the last change or changes, and all vectors and encoders"
    return Finding(log.name, problem, safe, what, repaired=repair)
