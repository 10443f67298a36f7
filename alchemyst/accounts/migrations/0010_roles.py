"""The roles of staff, as groups: what each may do can be changed in the admin afterwards."""

from django.db import migrations

VIEW = ("view",)
ALL = ("view", "add", "change", "delete")

SUPPORT = {
    ("accounts", "user"): ("view", "block"),
    ("accounts", "apikey"): ("view", "delete"),
    ("accounts", "limit"): ALL,
    ("accounts", "auditentry"): VIEW,
    ("chats", "chat"): VIEW,
    ("chats", "generation"): ("view", "stop"),
    ("chats", "share"): ("view", "change"),
    ("personas", "persona"): VIEW,
    ("proxy", "provider"): VIEW,
    ("proxy", "decisionrecord"): VIEW,
    ("proxy", "usagerecord"): VIEW,
}
ANALYST = {
    ("proxy", "usagerollup"): VIEW,
    ("proxy", "usagerecord"): VIEW,
    ("proxy", "decisionrecord"): VIEW,
    ("proxy", "price"): VIEW,
    ("proxy", "budget"): VIEW,
}
ADMIN = {
    ("accounts", "user"): (*ALL, "block"),
    ("accounts", "apikey"): ("view", "delete"),
    ("accounts", "limit"): ALL,
    ("accounts", "auditentry"): VIEW,
    ("auth", "group"): VIEW,
    ("chats", "chat"): ("view", "delete", "read", "transfer"),
    ("chats", "generation"): ("view", "stop"),
    ("chats", "share"): ("view", "change"),
    ("personas", "persona"): ALL,
    ("personas", "personaversion"): VIEW,
    ("proxy", "provider"): ("view", "change", "delete"),
    ("proxy", "decisionrecord"): ("view", "read"),
    ("proxy", "usagerecord"): VIEW,
    ("proxy", "usagerollup"): VIEW,
    ("proxy", "price"): ("view", "add", "change"),
    ("proxy", "budget"): ALL,
    ("proxy", "filterswitch"): ("view", "change"),
}
ROLES = {"support": SUPPORT, "analyst": ANALYST, "admin": ADMIN}


def make(apps, schema_editor):
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    ContentType = apps.get_model("contenttypes", "ContentType")
    for name, rights in ROLES.items():
        group, _ = Group.objects.get_or_create(name=name)
        for (app, model), actions in rights.items():
            kind, _ = ContentType.objects.get_or_create(app_label=app, model=model)
            for action in actions:
                # Django makes these after all migrations, and leaves those that are there.
                permission, _ = Permission.objects.get_or_create(
                    content_type=kind,
                    codename=f"{action}_{model}",
                    defaults={"name": f"Can {action} {model}"},
                )
                group.permissions.add(permission)


def unmake(apps, schema_editor):
    apps.get_model("auth", "Group").objects.filter(name__in=ROLES).delete()


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0009_staff_permissions"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make, unmake)]
