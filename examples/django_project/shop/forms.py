from django import forms

from shop.models import Product


class ProductForm(forms.ModelForm):
    class Meta:
        model = Product
        fields = ("sku", "name", "price", "stock")


class ListForm(forms.Form):
    max_price = forms.IntegerField(min_value=0, required=False)
    page = forms.IntegerField(min_value=1, required=False)


class TakeForm(forms.Form):
    quantity = forms.IntegerField(min_value=1)
