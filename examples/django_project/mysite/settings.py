"""Every process of a Django project reads its settings first: manage.py, a WSGI server, a Celery
worker. So this is the place for `ferromongo.install()`."""

import os

import ferromongo

# Django imports the backend, and the backend pymongo, after this line.
ferromongo.install()

DATABASES = {
    "default": {
        "ENGINE": "django_mongodb_backend",
        "HOST": os.environ.get("MONGODB_URI", "mongodb://localhost:27017"),
        "NAME": os.environ.get("MONGODB_DATABASE", "shop"),
    },
}
DEFAULT_AUTO_FIELD = "django_mongodb_backend.fields.ObjectIdAutoField"
INSTALLED_APPS = ["django_mongodb_backend", "shop", "users"]
ROOT_URLCONF = "mysite.urls"

# For experiments. Forms of browsers need CsrfViewMiddleware and a secret key.
DEBUG = True
SECRET_KEY = "for experiments only"
MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",
    # A transaction per request. It is the last, so that it sees exceptions of views first.
    "ferromongo.middleware.django.AtomicRequestsMiddleware",
]
FERROMONGO_CLIENT = "users.mongo.client"
