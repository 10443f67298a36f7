"""What to send of a conversation so that the bill is lowest and nothing needed is missing.

Providers bill a prompt's unchanged beginning at a fraction of the price, so leaving messages out
can cost more than it saves. The package chooses among whole requests, each priced with a copy of
the provider's cache rules. It is pure: no Django, no network, no clock. The same turn, state, rates
and time always get the same request.
"""
