"""All errors that featurestore raises on purpose. A message says what was expected, what was found and what to do.

FeatureStoreError
├── SourceError             a source or table is missing, empty or unreadable
│   └── TooManyOpenFiles    this process may open no more files
├── ImageError              one image cannot be decoded
│   └── ImageUnread         the disk or network failed, so nothing is known about it
├── EncoderError            an ONNX file cannot be used as an encoder
│   ├── EncoderCardMissing  it has no card, so its preprocessing is unknown
│   └── EncoderNotInStore   the store has no encoder of that name, or several that begin so
├── StoreError              the store cannot be used
│   ├── StoreNotFound
│   ├── StoreCorrupt        its files contradict each other
│   ├── StoreUntrusted      it holds what featurestore never makes, such as links, macros and triggers
│   ├── StoreBusy           another process is writing it
│   └── DiskError           the disk is full or not writable; everything committed before is safe
├── QueryError              a query, `where` or SQL text cannot be answered
├── EvaluationError         a measure cannot be computed from the items of the store
├── ConfigError             a setting is unknown, of the wrong type, or out of range
├── TrainingError           training cannot start, continue or be resumed
└── ExportError             the exported file and the network give different results
"""


class FeatureStoreError(Exception):
    """Root of the tree: the command line turns each into one line and exit code 1."""


class SourceError(FeatureStoreError):
    pass


class TooManyOpenFiles(SourceError):
    pass


class ImageError(FeatureStoreError):
    pass


class ImageUnread(ImageError):
    pass


class EncoderError(FeatureStoreError):
    pass


class EncoderCardMissing(EncoderError):
    pass


class EncoderNotInStore(EncoderError):
    pass


class StoreError(FeatureStoreError):
    pass


class StoreNotFound(StoreError):
    pass


class StoreCorrupt(StoreError):
    pass


class StoreUntrusted(StoreError):
    pass


class StoreBusy(StoreError):
    pass


class DiskError(StoreError):
    pass


class QueryError(FeatureStoreError):
    pass


class EvaluationError(FeatureStoreError):
    pass


class ConfigError(FeatureStoreError):
    pass


class TrainingError(FeatureStoreError):
    pass


class ExportError(FeatureStoreError):
    pass


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after finished work was saved; the message says what was saved and how to continue."""
