"""Single measurements of extraction. Each runs in its own process."""

import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

from featurestore import Encoder, FeatureStore
from featurestore.encoders.encoder import BATCH as ENCODER_BATCH
from featurestore.imaging import Loaded, load_all
from featurestore.imaging.preprocess import Preprocess
from featurestore.sources import ImageFile, find
from featurestore.storage.vector_writer import VectorWriter
from featurestore.system.cpus import available_cpus

BATCH = 32  # of the loops compared with


def torch_loop(net: str, folder: str, count: int) -> float:
    """Images a second of a DataLoader with one worker a processor, timm's transform, and the network in eager float32."""
    import timm
    import torch
    from torchvision.datasets.folder import default_loader

    from trainers.export.published import from_timm

    timm_data: Any = timm.data  # untyped
    transform = timm_data.create_transform(
        **timm_data.resolve_model_data_config(timm.create_model(net, pretrained=False))
    )

    class Files(torch.utils.data.Dataset[Any]):
        paths = sorted(Path(folder).rglob("*.jpg"))[:count]

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> Any:
            return transform(default_loader(str(self.paths[index])))

    torch.set_num_threads(available_cpus())
    backbone, vectors = from_timm(net, pretrained=False).backbone, []
    began = time.perf_counter()
    with torch.inference_mode():
        for batch in torch.utils.data.DataLoader(Files(), BATCH, num_workers=available_cpus()):
            vectors.append(torch.nn.functional.normalize(backbone(batch)).numpy())
    return len(np.concatenate(vectors)) / (time.perf_counter() - began)


def lightly_embed(net: str, folder: str, count: int) -> float:
    """Images a second of what `lightly-embed` runs: its dataset, transform and embed(), with the same network."""
    import torch
    from lightly.data import LightlyDataset
    from lightly.embedding import SelfSupervisedEmbedding
    from torchvision import transforms

    from featurestore.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD
    from trainers.export.published import from_timm

    model = torch.nn.Module()
    model.backbone = from_timm(net, pretrained=False).backbone
    steps = [transforms.Resize((224, 224)), transforms.ToTensor(), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    torch.set_num_threads(available_cpus())
    with tempfile.TemporaryDirectory() as flat:
        for path in sorted(Path(folder).rglob("*.jpg"))[:count]:
            (Path(flat) / f"{path.parent.name}-{path.name}").symlink_to(path)
        began = time.perf_counter()
        dataset = LightlyDataset(flat, transform=transforms.Compose(steps))
        loader = torch.utils.data.DataLoader(dataset, BATCH, num_workers=available_cpus())
        embedder = SelfSupervisedEmbedding(model, None, None, loader)
        vectors, _, _ = embedder.embed(loader, device=torch.device("cpu"))
        return len(vectors) / (time.perf_counter() - began)


def onnxruntime_alone(encoder: str, count: int) -> float:
    """Images a second of onnxruntime with default settings on tensors in memory."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cpus()
    session = onnxruntime.InferenceSession(encoder, options, providers=["CPUExecutionProvider"])
    size = Encoder(encoder).preprocess.size
    pixels = np.random.default_rng(0).integers(0, 256, (ENCODER_BATCH, size, size, 3), np.uint8)
    feed = {session.get_inputs()[0].name: pixels}
    session.run(None, feed)
    began = time.perf_counter()
    for _ in range(count // ENCODER_BATCH):
        session.run(None, feed)
    return count // ENCODER_BATCH * ENCODER_BATCH / (time.perf_counter() - began)


def indexing(encoder: str, folder: str) -> float:
    """Images a second of `featurestore index` into a new store."""
    with tempfile.TemporaryDirectory() as out:
        store = FeatureStore.open(Path(out) / "my.store", encoder)
        began = time.perf_counter()
        report = store.index(folder)
        return report.added / (time.perf_counter() - began)


def pillow_decode(folder: str) -> float:
    """Images a second of Pillow's plain decoding to RGB, with one thread a processor."""
    return _rate(lambda image: image.convert("RGB"), folder)


def pillow_resize(folder: str, size: int) -> float:
    """The same, with the resize that a network needs."""
    return _rate(lambda image: image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC), folder)


def _rate(work: Callable[[Image.Image], object], folder: str) -> float:
    paths = sorted(Path(folder).rglob("*.jpg"))

    def open_and_work(path: Path) -> None:
        with Image.open(path) as image:
            work(image)

    began = time.perf_counter()
    with ThreadPoolExecutor(available_cpus()) as pool:
        for _ in pool.map(open_and_work, paths):
            pass
    return len(paths) / (time.perf_counter() - began)


def preparing(folder: str, size: int) -> float:
    """Images a second of our reading, decoding and resizing, with one thread a processor."""
    files = [(found, None) for found in find(folder) if isinstance(found, ImageFile)]
    began = time.perf_counter()
    ready = sum(isinstance(found, Loaded) for found in load_all(files, Preprocess(size, size)))
    return ready / (time.perf_counter() - began)


def peak_memory(encoder: str, folder: str) -> float:
    """Peak resident megabytes of a process that indexes a folder."""
    indexing(encoder, folder)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def catalog_share(encoder: str, folder: str) -> dict[str, float]:
    """Seconds of a first run and of a second one that finds nothing new, and the percentage of the first spent in commits."""
    committing = 0.0
    commit = VectorWriter.commit

    def timed_commit(*arguments: Any, **named: Any) -> Any:
        nonlocal committing
        began = time.perf_counter()
        try:
            return commit(*arguments, **named)
        finally:
            committing += time.perf_counter() - began

    VectorWriter.commit = timed_commit  # type: ignore[method-assign]  # for the life of this process
    with tempfile.TemporaryDirectory() as out:
        store = FeatureStore.open(Path(out) / "my.store", encoder)
        began = time.perf_counter()
        first = store.index(folder)
        middle = time.perf_counter()
        second = store.index(folder)
        again = time.perf_counter() - middle
        assert second.unchanged == first.added
        return {
            "images": first.added, "seconds": middle - began, "percent": 100 * committing / (middle - began),
            "files_per_second": first.added / again, "bytes_per_item": (Path(out) / "my.store" / "catalog.duckdb").stat().st_size / first.added,
        }  # fmt: skip
