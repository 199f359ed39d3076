"""The operating system's side: files and locks, processors, child processes, optional packages, temporary rows, checksums, text for terminals.

In: paths, bytes and text. Out: atomic writes, and text that a terminal can show.
Nothing here knows images, vectors or stores; every room may use it.
"""
