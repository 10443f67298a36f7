from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from alchemyst.accounts.models import User


@pytest.fixture
def staff() -> Callable[[str], Client]:
    """Sign a new member of staff in who has a role: `staff("support")`."""

    def make(role: str) -> Client:
        user = User.objects.create_user(f"{role}-person", is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        client = Client()
        client.force_login(user)
        return client

    return make
