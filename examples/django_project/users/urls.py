from functools import wraps

from django.http import HttpResponse
from django.urls import path

from users import views


def answered(view):
    """A view that returns nothing, with a response. Marks of decorators stay."""

    @wraps(view)
    def answered(request):
        view(request)
        return HttpResponse(status=204)

    return answered


VIEWS = (
    views.my_view,
    views.my_other_view,
    views.not_use_transaction,
    views.viewfunc,
    views.viewfunc2,
    views.test_func,
    views.register,
    views.count,
)
urlpatterns = [path(f"{view.__name__}/", answered(view)) for view in VIEWS]
