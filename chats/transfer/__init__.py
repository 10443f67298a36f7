"""Chats on their way out and in: exports, bulk writes, conversations captured by the proxy."""
