"""The sandbox: an independent local simulator of the providers, spoken to over HTTP.

Deliberately not here: anything of `ingest`, `models` or `tasks`. Every dialect is written from the provider's
documentation, so that a misreading in our parsers meets a second, independent reading and shows.
Invariant: the sandbox imports nothing of the farm, and needs nothing but the standard library and one data wheel.
"""
