"""What compose.yaml sets a service in, read from the file itself."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Service:
    """A service, with the values of .env filled in."""

    settings: Mapping[str, Any]
    variables: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        own = self.settings["environment"].items()
        return {**self.variables, **{name: self._filled(value) for name, value in own}}

    @property
    def is_read_only(self) -> bool:
        return bool(self.settings["read_only"])

    @property
    def is_without_rights(self) -> bool:
        hardened = "no-new-privileges:true" in self.settings["security_opt"]
        return hardened and self.settings["cap_drop"] == ["ALL"]

    @property
    def tmpfs(self) -> dict[str, str]:
        """The options of what is in memory, by its place."""
        return {
            place: options
            for place, _, options in (t.partition(":") for t in self.settings["tmpfs"])
        }

    @property
    def volumes(self) -> list[str]:
        """The places that outlive a container."""
        return [volume.partition(":")[2] for volume in self.settings["volumes"]]

    @property
    def grace_seconds(self) -> float:
        return float(self.settings["stop_grace_period"].removesuffix("s"))

    def _filled(self, value: str) -> str:
        """Fill in `${NAME}` and `${NAME:-otherwise}`."""
        return re.sub(
            r"\$\{(\w+)(?::-(.*?))?\}",
            lambda match: self.variables.get(match[1]) or match[2] or "",
            value,
        )


def service(repository: Path, name: str) -> Service:
    text = (repository / "compose.yaml").read_text(encoding="utf-8")
    return Service(yaml.safe_load(text)["services"][name], variables_of(repository))


def variables_of(repository: Path) -> dict[str, str]:
    """Return deploy/env.example, filled in as it says: each key that it leaves empty is made."""
    lines = (repository / "deploy" / "env.example").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("=") for line in lines if not line.startswith("#")]
    return {name: value or secrets.token_urlsafe(48) for name, _, value in pairs}
