"""What a text says: its words, phrases, vectors and features."""
