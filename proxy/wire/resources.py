"""What providers keep under their paths: how calls that no dialect filters are named.

The names are few, whatever callers write into a path: usage rows are summed by them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, unquote

from proxy.common.percent import fully_unquoted

OTHER = "other"
MODELS = "models"
_NAMES = re.compile(
    r"assistants|audio|batches|cachedContents|chat|chatkit|classify|completions|"
    r"containers|conversations|corpora|deployments|detokenize|embed|embeddings|engines|"
    r"evals|fileSearchStores|files|fine_tuning|generatedFiles|images|interactions|"
    r"messages|models|moderations|ocr|operations|organization|organizations|projects|"
    r"realtime|rerank|responses|runs|score|search|skills|threads|tokenize|"
    r"tunedModels|uploads|vector_stores|videos"
)
# What stands before the name of a model.
_OF_MODELS = frozenset((MODELS, "tunedModels", "deployments", "engines"))
# What answers whichever model the body names; Azure reads paths in any case.
_DEPLOYMENT = re.compile(r"(?:^|/)(?:deployments|engines)/+([^/]+)", re.IGNORECASE)


def is_resource(segment: str) -> bool:
    """Whether a segment of a path is one of the names that are known."""
    return _NAMES.fullmatch(segment) is not None


def name_of(segments: Sequence[str]) -> str:
    """Return what a path is of: the last of its segments that is known."""
    return next((segment for segment in reversed(segments) if is_resource(segment)), OTHER)


def model_of(segments: Sequence[str]) -> str:
    """Return the model that a path names; empty if it names none.

    Behind `models` nothing else follows, so its name may have slashes.
    """
    place = next((at for at, segment in enumerate(segments) if segment in _OF_MODELS), None)
    if place is None:
        return ""
    end = None if segments[place] == MODELS else place + 2
    return unquote("/".join(segments[place + 1 : end]))


def models_in_url(url: str) -> list[str]:
    """Return the models that a URL's path or query names, to which a body's gives way."""
    path, _, query = url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    in_query = [value for name, value in pairs if name.casefold() == "model"]
    return _DEPLOYMENT.findall(fully_unquoted(path)) + in_query
