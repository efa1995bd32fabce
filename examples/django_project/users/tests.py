"""Each view without a transaction per request, and with one."""

from unittest import mock

from django.db import connection
from django.test import TestCase, modify_settings
from pymongo.errors import OperationFailure

from ferromongo.middleware import django as transaction
from users import work
from users.models import Stat, User
from users.mongo import other_database


class ViewTests(TestCase):
    def setUp(self):
        self.client.raise_request_exception = False

    def tearDown(self):
        connection.database.client.drop_database(other_database().name)

    def call(self, name, **functions):
        """The status of the response. Functions that the view calls can be replaced."""
        with mock.patch.multiple("users.views", **{"logging": mock.Mock(), **functions}):
            return self.client.post(f"/users/{name}/").status_code

    def assert_left(self, *names):
        users = User.objects.values_list("name", flat=True)
        stats = Stat.objects.values_list("name", flat=True)
        self.assertEqual(sorted([*users, *stats]), sorted(names))


def fails(function, error=LookupError):
    """The function, but an exception is raised after it."""

    def failing():
        function()
        raise error

    return failing


@modify_settings(MIDDLEWARE={"remove": "ferromongo.middleware.django.AtomicRequestsMiddleware"})
class WithoutMiddlewareTests(ViewTests):
    def test_each_operation_stands_for_itself(self):
        """Autocommit: what was done before the error stays."""
        User.objects.create(name="Ben")
        self.assertEqual(self.call("my_view"), 500)
        self.assert_left("Ada", "Ben")

    def test_the_decorator(self):
        self.assertEqual(self.call("viewfunc", create_user=fails(work.create_user)), 500)
        self.assert_left()
        self.assertEqual(self.call("viewfunc"), 204)
        self.assert_left("Ada")

    def test_the_block(self):
        User.objects.create(name="Ada")
        Stat.objects.create(name="updates")
        self.assertEqual(self.call("viewfunc2"), 500)
        self.assertEqual(User.objects.get().email, "")
        Stat.objects.all().delete()
        attempts = []
        read_user = mock.Mock(side_effect=lambda: attempts.append(transaction.current_attempt()))
        self.assertEqual(self.call("viewfunc2", read_user=read_user), 204)
        self.assertEqual(User.objects.get().email, "ada@example.org")
        self.assertEqual(attempts, [0])
        self.assert_left("Ada", "updates")

    def test_a_block_in_which_an_exception_is_caught(self):
        self.assertEqual(self.call("test_func", update_stat=fails(work.update_stat)), 204)
        self.assert_left("Ada", "users")

    def test_a_block_in_which_an_error_of_the_database_is_caught(self):
        Stat.objects.create(name="users")
        self.assertEqual(self.call("test_func"), 500)
        self.assert_left("users")

    def test_a_function_for_after_the_commit(self):
        logging = mock.Mock()
        self.assertEqual(self.call("register", logging=logging), 204)
        logging.assert_called_once_with("welcome")

    def test_a_write_conflict_is_retried(self):
        conflict = OperationFailure("", 112, {"errorLabels": ["TransientTransactionError"]})
        update_stat = mock.Mock(side_effect=[conflict, conflict, None])
        self.assertEqual(self.call("count", update_stat=update_stat), 204)
        self.assert_left("Ada")
        self.assertEqual(update_stat.call_count, 3)


class PerRequestTests(ViewTests):
    def test_an_error_undoes_all(self):
        User.objects.create(name="Ben")
        self.assertEqual(self.call("my_view"), 500)
        self.assert_left("Ben")

    def test_without_an_error_all_is_committed(self):
        self.assertEqual(self.call("my_view"), 204)
        self.assert_left("Ada", "Ben")

    def test_two_databases_are_one_transaction(self):
        self.assertEqual(self.call("my_other_view"), 204)
        self.assert_left("Ada")
        User.objects.all().delete()
        self.assertEqual(self.call("my_other_view"), 500)
        self.assert_left()
        self.assertEqual(other_database().letters.count_documents({}), 1)

    def test_a_non_atomic_view(self):
        attempts = []

        def note():
            attempts.append(transaction.current_attempt())

        self.assertEqual(self.call("not_use_transaction", read_all_users=note), 204)
        self.assertEqual(self.call("my_view", do_stuff=note), 204)
        self.assertEqual(attempts, [0, 1])

    def test_decorator_and_block_join_the_transaction_of_the_request(self):
        def create_users():
            work.create_user()
            with self.assertRaises(LookupError), transaction.atomic():
                User.objects.create(name="Ben")
                raise LookupError

        # The inner block has failed, so all of it has.
        self.assertEqual(self.call("viewfunc", create_user=create_users), 500)
        self.assert_left()
        self.assertEqual(self.call("viewfunc"), 204)
        self.assertEqual(self.call("viewfunc2"), 204)
        self.assert_left("Ada", "updates")

    def test_exceptions_that_are_caught(self):
        self.assertEqual(self.call("test_func", update_stat=fails(work.update_stat)), 204)
        self.assert_left("Ada", "users")
        User.objects.all().delete()
        self.assertEqual(self.call("test_func"), 500)
        self.assert_left("users")

    def test_a_function_for_after_the_commit(self):
        logging = mock.Mock(side_effect=lambda message: self.assert_left("Ada"))
        self.assertEqual(self.call("register", logging=logging), 204)
        self.assertEqual(self.call("register", logging=logging), 500)  # Ada is there already
        logging.assert_called_once_with("welcome")

    def test_a_view_with_its_own_transaction_is_retried(self):
        conflict = OperationFailure("", 112, {"errorLabels": ["TransientTransactionError"]})
        update_stat = mock.Mock(side_effect=[conflict, None])
        self.assertEqual(self.call("count", update_stat=update_stat), 204)
        self.assert_left("Ada")
