"""A Django project on MongoDB: django-mongodb-backend, with ferromongo as its driver.

    pip install django-mongodb-backend
    export MONGODB_URI=mongodb://localhost:27017
    cd examples/django_project
    python manage.py migrate
    python manage.py runserver
    python manage.py test                          # in a database of its own

    curl -d sku=tea -d name='Green tea' -d price=4 -d stock=10 localhost:8000/products/
    curl -d quantity=2 localhost:8000/products/tea/take/
    curl 'localhost:8000/products/?max_price=5'

`python -m ferromongo.embedded` starts a server and prints its URI. mysite/settings.py is where
ferromongo takes the place of PyMongo. users/views.py shows transactions.
"""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
