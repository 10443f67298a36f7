"""One request through relevance and the cost gate, and the account of what was done."""
