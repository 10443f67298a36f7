"""How work runs in a process: threads, event loops, retries, batches, periodic work."""
