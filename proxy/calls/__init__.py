"""One call to a provider, whoever it is for: a caller of the proxy, or ourselves."""
