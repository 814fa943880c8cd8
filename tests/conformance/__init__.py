"""The conformance grid, in this process: the client, the pipeline and PostgreSQL, without Celery."""
