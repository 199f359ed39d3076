"""Benchmarks of curation: copies, wrong labels and foreign images are planted into collections, and looked for."""
