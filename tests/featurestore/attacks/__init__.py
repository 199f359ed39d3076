"""What strangers send: stores, images, encoders, archives, names. Each attack is run against a canary that must stay as it was.

`make test-attacks` runs all of it. Attacks that take more than a second carry the marker `slow`; `make test` runs the others.
"""
