"""What the models of accounts tell whoever listens (`alchemyst.wiring`); they know no listener."""

from __future__ import annotations

from django.dispatch import Signal

access_changed = Signal()
"""What tokens may do has changed: of the user `user_id`, or of everybody if that is None."""

access_ended = Signal()
"""All tokens, sessions and streams of the user `user_id` end, in every process."""
