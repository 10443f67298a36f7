"""How static files are stored: under names that change with their content, and compressed."""

from __future__ import annotations

from servestatic.storage import CompressedManifestStaticFilesStorage


class Storage(CompressedManifestStaticFilesStorage):
    """Lets the modules of our scripts import each other under those names, too."""

    support_js_module_import_aggregation = True
