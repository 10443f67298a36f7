"""The roof of the application. The Celery app is made with it, so that every task finds its app."""

from alchemyst.celery import app as celery_app

__all__ = ["celery_app"]
