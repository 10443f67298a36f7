from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_user_and_api_key'),
    ]

    operations = [
        migrations.AddField(
            model_name='apikey',
            name='allowed_hosts',
            field=models.JSONField(blank=True, help_text="The same for hosts; the built-in model's is 'default'.", null=True),
        ),
        migrations.AddField(
            model_name='apikey',
            name='allowed_models',
            field=models.JSONField(blank=True, help_text="Names, or beginnings of names with '*', of the models that this key may use on the proxy. Empty means any; an empty list means none.", null=True),
        ),
    ]
