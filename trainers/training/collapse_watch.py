"""The watch for a collapse, from epoch to epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from featurestore.progress import Listener
from trainers.training.collapse import Collapse, collapse, compared_loss, is_uniform


@dataclass
class CollapseWatch:
    """Looks at the figures of each epoch, and notes each kind of collapse once."""

    uniform_loss: float | None  # of the method; see `collapse`
    cures: Mapping[str, str]  # of the method, by kind of collapse
    listener: Listener
    _plateau: int = 0  # epochs in a row at the uniform loss
    _noted: set[str] = field(default_factory=set)

    def check(self, figures: Mapping[str, float]) -> Collapse | None:
        """Return the collapse that the figures of an epoch show, if any."""
        self._plateau = self._plateau + 1 if is_uniform(compared_loss(figures), self.uniform_loss) else 0
        found = collapse(figures, self.uniform_loss, self.cures, self._plateau)
        if found and found.name not in self._noted:
            self._noted.add(found.name)
            self.listener.note(f"collapse: {found.text}")
        return found
