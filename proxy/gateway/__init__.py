"""The proxied path, in steps: from a request to the provider's answer."""
