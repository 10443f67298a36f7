"""How often and how much a caller may: rates and quotas, and where they are counted."""
