"""What a caller may: models and hosts, concurrent calls, tokens, money; and which calls run."""
