"""The client of django-mongodb-backend, so that models take part in its transactions."""

from django.db import connections


def client(request=None):
    """What the setting FERROMONGO_CLIENT names."""
    return connections["default"].database.client


def other_database():
    return client()[f"{connections['default'].settings_dict['NAME']}_other"]
