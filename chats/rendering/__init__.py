"""From the text of a message to safe HTML: markdown, code in colour, math.

Whatever a message holds, what comes out is a small set of harmless elements, loads nothing from
anywhere, and takes a bounded time. `rendered` is the one way to put a message on a page.
"""

from __future__ import annotations

from chats.rendering.blocks import Block, blocks_of
from chats.rendering.markdown import rendered, sketched

__all__ = ["Block", "blocks_of", "rendered", "sketched"]
