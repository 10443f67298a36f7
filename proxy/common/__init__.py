"""What every app stands on: one mechanism for each need that several of them have.

Nothing here knows a feature: no model, no provider, no chat. Of ours it imports nothing
else.
"""
