"""Static files as `make setup` collects them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.core.management import call_command

_HASHED = re.compile(r"\.[0-9a-f]{12}\.")
_IMPORT = re.compile(r"""(?:from|import)\s*\(?["'](\.[^"']+)["']""")


def test_scripts_import_each_other_under_names_that_change_with_their_content(
    settings: Any, tmp_path: Path
):
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "alchemyst.web.static.Storage"}
    }

    # Ours alone: those of the admin and of Swagger UI are many.
    others = ["admin", "drf_spectacular_sidecar", "rest_framework", "unfold"]
    call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=others)

    collected = [path for path in (tmp_path / "js").rglob("*.js") if _HASHED.search(path.name)]
    assert len(collected) >= len(list((Path(settings.BASE_DIR) / "static/js").rglob("*.js")))
    for path in collected:
        for name in _IMPORT.findall(path.read_text()):
            assert _HASHED.search(name), f"{path.name} imports {name}"
            assert (path.parent / name).exists()
