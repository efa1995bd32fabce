"""The views of a tutorial on Django's transactions, on MongoDB. Only the import is another one: it
was `from django.db import transaction`.

What they do is in work.py. They return nothing, so urls.py makes a response of that.
"""

from ferromongo.middleware import django as transaction
from users.work import (
    create_user,
    do_stuff,
    do_stuff_on_the_other_database,
    logging,
    read_all_users,
    read_user,
    update_info,
    update_stat,
    update_user,
)

# A transaction per request. The middleware in the settings is what ATOMIC_REQUESTS is there.


def my_view(request):
    do_stuff()


def my_other_view(request):
    do_stuff_on_the_other_database()


@transaction.non_atomic_requests
def not_use_transaction(request):
    read_all_users()


# Transactions of some views only, as a decorator and as a block.


@transaction.atomic
def viewfunc(request):
    create_user()


def viewfunc2(request):
    read_user()
    with transaction.atomic():
        update_user()
        update_info()


# An exception that is caught inside. In Django the block commits. Here it does so after your own
# exceptions; after an error of the database it raises TransactionRolledBack.


def test_func(request):
    with transaction.atomic():
        try:
            create_user()
            update_stat()
        except:
            logging("Raise when create_user()!")


# Not in the tutorial: work for after the commit, and a view that is run again after a conflict.


def register(request):
    create_user()
    transaction.on_commit(lambda: logging("welcome"))


@transaction.non_atomic_requests
@transaction.atomic
def count(request):
    create_user()
    update_stat()
