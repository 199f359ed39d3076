"""What a run says about how its images were read: values that were scaled, channels that were left out, pictures of one colour."""

from dataclasses import dataclass, field

MOST = 5  # ways of reading that are told one by one
WORTH_TELLING = 0.01  # share of images of one colour
EXAMPLES = 3
PAGE = "docs/reference/inputs.md"


@dataclass
class Readings:
    """Counts of the images of a run."""

    images: int = 0
    ways: dict[str, int] = field(default_factory=dict)  # `Loaded.how`, of images that were not simply 8 bits
    flat: int = 0
    flat_paths: list[str] = field(default_factory=list)  # the first ones

    def add(self, path: str, how: str, flat: bool) -> None:
        """Count an image."""
        self.images += 1
        if how:
            self.ways[how] = self.ways.get(how, 0) + 1
        self.flat += flat
        if flat and len(self.flat_paths) < EXAMPLES:
            self.flat_paths.append(path)

    def lines(self) -> list[str]:
        """Give what a user should know, a line each."""
        ways = sorted(self.ways.items(), key=lambda way: -way[1])
        lines = [f"{count} of {self.images} images: {how}; see {PAGE}" for how, count in ways[:MOST]]
        if rest := ways[MOST:]:
            lines.append(f"{sum(count for _, count in rest)} of {self.images} images: read in {len(rest)} other ways")
        if self.flat > WORTH_TELLING * self.images:
            lines.append(
                f"one colour, or nearly, at the encoder's size: {self.flat} of {self.images} images; they may be empty, damaged, or read in a "
                f"wrong range (see {PAGE}); the first: {', '.join(self.flat_paths)}"
            )
        return lines
