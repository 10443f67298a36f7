"""What an operator runs and watches: checks, health, metrics, telemetry, periodic work."""
