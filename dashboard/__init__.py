"""The dashboard and the REST API: one web application over what the farm has stored and does.

Deliberately not here: what is shown (ingest/pipeline has a reader for each) and how the farm runs (tasks, local).
Invariant: every page can be read without JavaScript, and nothing is written but through `access.py`.
"""
