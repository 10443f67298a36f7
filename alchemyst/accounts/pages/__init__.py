"""The pages of an account: signing in, the password, preferences, API keys."""
