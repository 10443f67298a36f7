"""What is written down after a call: usage, its cost, decisions, captured conversations."""
