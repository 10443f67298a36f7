"""The roof of the application. The Celery app is made with it, so that every task finds its app."""

from alchemyst.celery import app as celery_app

__all__ = ["__version__", "celery_app"]

__version__ = "0.2.0"
"""The one place of the version: the package and the API's schema read it here."""
