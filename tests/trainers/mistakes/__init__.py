"""Twenty mistakes that well-known re-implementations made: ours lack them, and each check fails once the mistake is put in.

A `check_…` is what ours must pass; beside it stands a twin that makes the mistake and must not. What needs two processes of mistakes
5, 7, 13 and 14 is in test_distributed.py.
"""
