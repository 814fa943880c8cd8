"""The Celery shell: the only folder that knows Celery. `celery -A tasks worker|beat|flower|call ..` starts here."""

from tasks.app import app

__all__ = ["app"]
