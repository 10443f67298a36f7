"""Make the personas that come with the application."""

from django.db import migrations

from personas.shipped import ship


def made(apps, schema_editor):
    ship(apps.get_model("personas", "Persona"), apps.get_model("personas", "PersonaVersion"))


class Migration(migrations.Migration):
    dependencies = [("personas", "0002_retired_and_avatars")]

    operations = [migrations.RunPython(made, migrations.RunPython.noop)]
