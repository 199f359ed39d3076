"""Evaluation: figures as functions of arrays."""
