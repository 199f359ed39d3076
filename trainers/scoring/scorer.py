"""The self-supervised loss of single images, by a trained method."""

import torch
from torch import Generator, Tensor

from trainers.augmentations import augment_alike
from trainers.methods import Bank, Method, Progress
from trainers.runtime.seeds import mix
from trainers.training.features import batch_for

END = Progress(step=0, epoch=0, fraction=1.0)  # with the temperatures of the end of a training


class Scorer:
    """Gives images the loss that a trained method has on them, a mean over `draws` of the views that it compares.

    All images are seen in the same views; where the method has negatives, these are the same for all, too: the images of `bank`, uint8
    (M, 3, S, S). So a loss depends on the image, the bank and the seed alone. The method is in evaluation mode afterwards, on the device.
    """

    def __init__(self, method: Method, bank: Tensor | None, device: torch.device, draws: int, seed: int) -> None:
        self._method = method.to(device).to(memory_format=torch.channels_last).eval()
        self._device, self._seeds = device, [mix(seed, draw) for draw in range(draws)]
        self._bank = [] if bank is None else [self._encode(bank, draw) for draw in self._seeds]

    def batch_for(self, side: int) -> int:
        """Say how many images of `side` px are fastest together."""
        return batch_for(side, self._device)

    @torch.inference_mode()
    def losses(self, pixels: Tensor, places: Tensor) -> Tensor:
        """Compute the losses of images, uint8 (B, 3, S, S): float32 (B,). places: int64 (B,), which of the bank each is, or -1."""
        pixels, places = pixels.to(self._device), places.to(self._device)
        total = torch.zeros(len(pixels), device=self._device)
        for draw, seed in enumerate(self._seeds):
            bank = None
            if self._bank:
                images = torch.arange(self._bank[draw].shape[1], device=self._device)
                bank = Bank(self._bank[draw], places[:, None] == images)
            total += self._method.image_losses(self._views(pixels, seed), END._replace(seed=seed), bank)
        return (total / len(self._seeds)).cpu()

    @torch.inference_mode()
    def _encode(self, bank: Tensor, seed: int) -> Tensor:
        """Encode the bank in one draw of views: (G, M, D)."""
        parts = torch.split(bank, self.batch_for(bank.shape[-1]))
        return torch.cat([self._method.bank_vectors(self._views(part.to(self._device), seed)) for part in parts], dim=1)

    def _views(self, pixels: Tensor, seed: int) -> list[Tensor]:
        """Make the views that the method compares, the same of all images: V tensors (B, 3, H, W)."""
        rng = Generator().manual_seed(seed)  # on every device the same
        return [augment_alike(pixels, spec, rng) for spec in self._method.views]
