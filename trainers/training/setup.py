"""From a configuration to the method and the preprocessing that it describes."""

from collections.abc import Callable

from featurestore.errors import ConfigError
from featurestore.imaging.preprocess import Preprocess
from trainers.config.schema import Config
from trainers.methods import METHODS, Method
from trainers.models.backbones import make_backbone, try_size


def build(config: Config, note: Callable[[str], None] = lambda text: None) -> Method:
    """Build the method of a configuration; draws its weights from torch's global generator. Raises ConfigError."""
    cls = METHODS[config.method]
    backbone, adapted = make_backbone(
        config.backbone, config.image_size, config.patch_size, config.drop_path, config.init == "timm"
    )
    for line in [*adapted, cls.variants[config.method].warning]:
        if line:
            note(line)
    views = cls.make_views(config.augment, config.view_size or config.image_size, config.settings)
    method = cls(backbone, config.settings, views)
    for size in sorted(method.sizes - {config.image_size}):
        try:
            try_size(backbone, size)
        except Exception as error:
            raise ConfigError(
                f"{config.backbone} cannot take the crops of {size} px that {config.method} makes: {error}; choose another --image-size, or view_size"
            ) from error
    return method


def preprocess_of(config: Config) -> Preprocess:
    """The preprocessing of a run's encoder."""
    return Preprocess(size=config.image_size, shorter_side=config.image_size)
