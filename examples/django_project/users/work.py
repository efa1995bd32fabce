"""What the views do: some of it through models, some with the client itself."""

import logging as log

from users.models import Stat, User
from users.mongo import other_database


def do_stuff():
    User.objects.create(name="Ada")
    User.objects.create(name="Ben")


def do_stuff_on_the_other_database():
    User.objects.create(name="Ada")
    other_database().letters.insert_one({"_id": "Ada"})


def read_all_users():
    return list(User.objects.all())


def create_user():
    User.objects.create(name="Ada")


def read_user():
    return User.objects.filter(name="Ada").first()


def update_user():
    User.objects.filter(name="Ada").update(email="ada@example.org")


def update_info():
    Stat.objects.create(name="updates", count=1)


def update_stat():
    Stat.objects.create(name="users", count=1)


def logging(message):
    log.getLogger("users").warning(message)
