"""The core of tickfarm: everything a batch needs, from request to row. It has never heard of Celery."""
