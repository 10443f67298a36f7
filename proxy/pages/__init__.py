"""The proxy's pages: stored providers, the playground of the filter, one's own usage."""
