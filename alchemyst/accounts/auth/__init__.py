"""Who is calling: tokens, keys, sessions, scopes."""
