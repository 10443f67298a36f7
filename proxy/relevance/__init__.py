"""Which earlier messages still matter to the question at hand.

The package is pure: it knows no Django, no network and no format of any provider. The same messages
always get the same verdicts, on every machine, in every process and for every hash seed.
"""
