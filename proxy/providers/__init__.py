"""The providers that people stored, found by name."""
