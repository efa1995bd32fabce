from django.urls import include, path

from shop import views

urlpatterns = [
    path("products/", views.products),
    path("products/<slug:sku>/", views.product),
    path("products/<slug:sku>/take/", views.take),
    path("users/", include("users.urls")),
]
