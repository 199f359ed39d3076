"""The commands that need `trainers`.

Each file holds the commands of one room. A command parses its options, calls one library function and prints the result. torch is
imported only when a command runs.
"""

from trainers.cli.demo_command import demo
from trainers.cli.export_command import export
from trainers.cli.finetuning_commands import field, finetune
from trainers.cli.scoring_command import score
from trainers.cli.training_commands import profile, train

__all__ = ["demo", "export", "field", "finetune", "profile", "score", "train"]
