from django.db import migrations

from chats import indexing


def install(apps, schema_editor):
    indexing.install(schema_editor.connection)


def remove(apps, schema_editor):
    indexing.remove(schema_editor.connection)


class Migration(migrations.Migration):

    dependencies = [
        ('chats', '0002_initial'),
    ]

    operations = [
        migrations.RunPython(install, remove),
    ]
