"""Firehose judged by real parts: an S3 server, PostgreSQL, readers of Parquet and ORC, and endpoints."""
