"""Training: the loop, what is needed to start it, and what runs beside it.

Settled settings and decoded images come in. A checkpoint and metrics.jsonl go out, and the trained method.
`loop.fit` trains what `setup.set_up` has built; `speed` and `profile` time its steps; `monitor` and `checkpoint` may be used by other
rooms. Nothing is imported here, because methods use `training.distributed`.
"""
