"""The log of an answer's events: written once, followed and replayed from any process."""
