import django.db.models.deletion
import django.db.models.functions.text
import proxy.models.provider
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('proxy', '0001_usage_record'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Provider',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=40, validators=[proxy.models.provider.valid_name])),
                ('base_url', models.CharField(max_length=500, verbose_name='base URL')),
                ('dialect', models.CharField(choices=[('openai', 'OpenAI'), ('gemini', 'Gemini')], default='openai', max_length=20)),
                ('sealed_key', models.TextField(editable=False)),
                ('key_hint', models.CharField(blank=True, editable=False, max_length=4)),
                ('is_shared', models.BooleanField(default=False, help_text='Everybody may use it, and nobody sees its key.', verbose_name='shared')),
                ('created', models.DateTimeField(auto_now_add=True)),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='providers', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['name', 'created', 'pk'],
                'constraints': [models.UniqueConstraint(django.db.models.functions.text.Lower('name'), models.F('owner'), name='provider_name_of_owner', violation_error_message='Its owner has a provider of this name.'), models.UniqueConstraint(django.db.models.functions.text.Lower('name'), condition=models.Q(('is_shared', True)), name='provider_name_if_shared', violation_error_message='A provider of this name is shared already.')],
            },
        ),
    ]
