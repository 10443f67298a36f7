"""What texts mean to a small sentence encoder, beside their words: made, kept and recalled."""
