"""Training methods: one file each, with loss, settings and their ranges, recipe, collapse cures and help line.

In come a backbone, the method's settings and batches of views; out come losses for the loop and a backbone to export. To add a
method, write its class and list it in METHODS.
"""

from trainers.methods.base import Bank, Method, Progress, Step, Variant
from trainers.methods.byol import BYOL
from trainers.methods.dino import DINO
from trainers.methods.ibot import IBOT
from trainers.methods.jigsaw import Jigsaw
from trainers.methods.lejepa import LeJEPA
from trainers.methods.mae import MAE
from trainers.methods.moco import MoCo
from trainers.methods.moco_v3 import MoCoV3
from trainers.methods.simclr import SimCLR
from trainers.methods.situation import Situation

METHODS: dict[str, type[Method]] = {
    name: method for method in (BYOL, DINO, IBOT, Jigsaw, LeJEPA, MAE, MoCo, MoCoV3, SimCLR) for name in method.variants
}

__all__ = ["METHODS", "Bank", "Method", "Progress", "Situation", "Step", "Variant"]
