"""A chat read by parts: windows of messages, cursors, matches of a search."""
