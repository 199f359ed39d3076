"""Bring a store up to date: with the images of its sources, or with vectors from a Parquet file.

Sources come in. `scan` lists them, `ingest` compares them with the catalog, embeds what is new or changed, and commits
batch by batch; `vectors_parquet` writes vectors to Parquet and reads them back. An `IndexReport` goes out.
"""
