"""Call the model by the field's word; its table keeps its name."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0011_keeps_chats")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameModel("News", "BroadcastEvent"),
                migrations.AlterModelTable("broadcastevent", "accounts_news"),
            ]
        )
    ]
