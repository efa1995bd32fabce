from django.db import models


class Product(models.Model):
    sku = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    price = models.PositiveIntegerField(db_index=True)
    stock = models.PositiveIntegerField(default=0)

    def __str__(self):
        return self.name
