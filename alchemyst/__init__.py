"""The roof of the application. The Celery app is made with it, so that every task finds its app."""

# The one place of the version. First, since settings ask for it while Celery is made.
__version__ = "0.4.0"

from alchemyst.celery import app as celery_app

__all__ = ["__version__", "celery_app"]
