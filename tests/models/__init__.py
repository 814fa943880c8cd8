"""Tests of models/: the write path, partitions, migrations. All of them run on a real PostgreSQL."""
