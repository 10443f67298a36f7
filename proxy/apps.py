from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings

from proxy.filtering import encoder


class ProxyConfig(AppConfig):
    name = "proxy"
    verbose_name = "Context proxy"

    def ready(self) -> None:
        encoder.set_up(settings.PROXY_ENCODER)
