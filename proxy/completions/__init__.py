"""Asking a model ourselves, for answers in chats and their titles."""
