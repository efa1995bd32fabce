"""Products as JSON."""

from django.core.paginator import Paginator
from django.db import IntegrityError
from django.db.models import F
from django.forms.models import model_to_dict
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_http_methods, require_POST

from ferromongo.middleware import non_atomic_requests
from shop.forms import ListForm, ProductForm, TakeForm
from shop.models import Product

PAGE_SIZE = 20


# A transaction is over after a duplicate key. `create_product` catches that error and goes on.
@non_atomic_requests
@require_http_methods(["GET", "POST"])
def products(request):
    return create_product(request) if request.method == "POST" else list_products(request)


def list_products(request):
    form = ListForm(request.GET)
    if not form.is_valid():
        return errors(form, 400)
    found = Product.objects.order_by("price", "sku")
    if (max_price := form.cleaned_data["max_price"]) is not None:
        found = found.filter(price__lte=max_price)
    page = Paginator(found, PAGE_SIZE).get_page(form.cleaned_data["page"])
    return JsonResponse({"count": page.paginator.count, "products": [as_dict(one) for one in page]})


def create_product(request):
    form = ProductForm(request.POST)
    try:
        if form.is_valid():
            return JsonResponse(as_dict(form.save()), status=201)
    except IntegrityError:  # another request has created it since the form looked
        form.add_error("sku", "Product with this Sku already exists.")
        return errors(form, 409)
    return errors(form, 409 if form.has_error("sku", "unique") else 400)


@require_http_methods(["GET", "DELETE"])
def product(request, sku):
    found = get_object_or_404(Product, sku=sku)
    if request.method == "DELETE":
        found.delete()
        return HttpResponse(status=204)
    return JsonResponse(as_dict(found))


@require_POST
def take(request, sku):
    """Take some from the stock, if there are enough: one update, which MongoDB does atomically."""
    form = TakeForm(request.POST)
    if not form.is_valid():
        return errors(form, 400)
    quantity = form.cleaned_data["quantity"]
    enough = Product.objects.filter(sku=sku, stock__gte=quantity)
    taken = enough.update(stock=F("stock") - quantity)
    found = get_object_or_404(Product, sku=sku)
    return JsonResponse(as_dict(found), status=200 if taken else 409)


def as_dict(product):
    return model_to_dict(product, fields=("sku", "name", "price", "stock"))


def errors(form, status):
    return JsonResponse({"errors": form.errors}, status=status)
