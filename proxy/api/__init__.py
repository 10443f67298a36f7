"""The JSON API of providers and usage."""
