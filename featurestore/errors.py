"""Every error that featurestore raises on purpose. A message says what was expected, what was found and what to do.

FeatureStoreError
├── SourceError             a folder or file of images is missing, empty, or holds nothing readable
├── ImageError              one image cannot be decoded
├── EncoderError            an ONNX file cannot serve as an encoder
│   ├── EncoderCardMissing  it carries no card, so its preprocessing is unknown
│   └── EncoderNotInStore   the store holds no vectors of that encoder, or of several and none was named
├── StoreError              the store cannot be used
│   ├── StoreNotFound
│   ├── StoreCorrupt        its files contradict each other
│   ├── StoreBusy           another process holds it
│   └── DiskError           the disk is full or not writable; what was committed before is kept
├── QueryError              a query, `where` or SQL text cannot be answered
├── EvaluationError         a figure cannot be computed from what the store holds
├── ConfigError             a setting is unknown, of the wrong type, or out of range
├── TrainingError           training cannot start, go on or be resumed
└── ExportError             the exported file does not say what the network says
"""


class FeatureStoreError(Exception):
    """Root of the tree: the command line turns any of these into one line and exit status 1."""


class SourceError(FeatureStoreError):
    pass


class ImageError(FeatureStoreError):
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
    """Ctrl-C, after what was done so far has been kept; the message says what that is and how to go on."""
