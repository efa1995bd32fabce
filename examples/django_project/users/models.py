from django.db import models


class User(models.Model):
    name = models.SlugField(unique=True)
    email = models.EmailField(blank=True)

    def __str__(self):
        return self.name


class Stat(models.Model):
    name = models.SlugField(unique=True)
    count = models.PositiveIntegerField(default=0)

    def __str__(self):
        return self.name
