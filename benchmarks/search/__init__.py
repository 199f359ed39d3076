"""Benchmarks of search: latency, recall and throughput against LanceDB, DuckDB and FAISS called directly.

In: stores of vectors that `python -m benchmarks.search generate` writes. Out: Markdown tables.
"""
