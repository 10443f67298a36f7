from typing import Any

from django.apps import AppConfig
from django.apps import apps as registry
from django.conf import settings
from django.db.models.signals import post_migrate

from proxy import encoder


class ProxyConfig(AppConfig):
    name = "proxy"
    verbose_name = "Context proxy"

    def ready(self) -> None:
        encoder.set_up(settings.PROXY_ENCODER)
        # The prices that a version brings are rows like an operator's own, so each upgrade adds
        # its new ones after the tables are there.
        post_migrate.connect(_ship_prices, sender=self)


def _ship_prices(using: str, apps: Any = registry, **told: Any) -> None:
    from proxy.models import Price

    if any(model._meta.label == "proxy.Price" for model in apps.get_models()):
        Price.ship(using)
