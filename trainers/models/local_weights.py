"""Published weights that are on this machine already, so that a training may start from them without a download."""

from pathlib import Path
from urllib.parse import urlparse

import timm
import torch
import torchvision
from huggingface_hub import try_to_load_from_cache

# Small networks first: a training of some minutes gets further with them.
TIMM = ("tf_efficientnet_lite0", "mobilenetv3_large_100", "efficientnet_b0", "resnet18", "resnet34", "resnet50")
TORCHVISION = ("resnet18", "mobilenet_v3_large", "efficientnet_b0", "resnet34", "resnet50")
FILES = ("model.safetensors", "pytorch_model.bin")  # of a model in the cache of the Hugging Face hub


def local_start() -> dict[str, str]:
    """Give `init` and `backbone` of the first small network whose published weights lie in a local cache; empty when there is none."""
    for name in TIMM:
        if _is_in_hub_cache(name):
            return {"init": "timm", "backbone": name}
    for name in TORCHVISION:
        url = torchvision.models.get_model_weights(name).DEFAULT.url
        if (
            timm.is_model(name)
            and (Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name).is_file()
        ):
            return {"init": f"torchvision:{name}", "backbone": name}
    return {}


def _is_in_hub_cache(name: str) -> bool:
    config = timm.models.get_pretrained_cfg(name)
    repository = None if config is None else config.hf_hub_id
    # The answer is a path, None for a file that is not known, or a marker for one that does not exist.
    return repository is not None and any(isinstance(try_to_load_from_cache(repository, file), str) for file in FILES)
