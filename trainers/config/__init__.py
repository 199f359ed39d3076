"""The settings of a training: their schema, how they are read and merged, and the recipes that choose what is not given.

In come a TOML file, options and `--set` assignments, and the number of images. Out comes one `Config`, complete and in range: nothing
is decided later.
"""
