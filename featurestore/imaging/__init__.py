"""From the bytes of an image to the pixels that a network sees.

`decode` turns bytes into an upright RGB image, `preprocess` resizes and crops it as an encoder's card says, `load` does
both for one image, `pool` for many in threads. Files of a source, paths or PIL images come in; `Loaded` goes out, or a
`Failure` with the reason.
"""

from featurestore.imaging.load import IsKnown, Known, Loaded, Picture
from featurestore.imaging.pool import load_all
from featurestore.imaging.preprocess import Preprocess

__all__ = ["IsKnown", "Known", "Loaded", "Picture", "Preprocess", "load_all"]
