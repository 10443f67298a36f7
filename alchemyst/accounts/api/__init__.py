"""The JSON API of accounts and keys."""
