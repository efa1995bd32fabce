from django.db import connection
from django.test import TestCase

import ferromongo
from shop.models import Product

TEA = {"sku": "tea", "name": "Green tea", "price": 4, "stock": 10}


class ProductTests(TestCase):
    def test_the_driver_is_ferromongo(self):
        self.assertIsInstance(connection.database.client, ferromongo.MongoClient)

    def test_a_product_is_created_read_and_deleted(self):
        created = self.client.post("/products/", TEA)
        self.assertEqual((created.status_code, created.json()), (201, TEA))
        self.assertEqual(self.client.get("/products/tea/").json(), TEA)
        self.assertEqual(self.client.delete("/products/tea/").status_code, 204)
        self.assertEqual(self.client.get("/products/tea/").status_code, 404)

    def test_a_second_product_of_that_sku_is_a_conflict(self):
        self.client.post("/products/", TEA)
        refused = self.client.post("/products/", {**TEA, "name": "Black tea"})
        self.assertEqual(refused.status_code, 409)
        self.assertEqual(Product.objects.get(sku="tea").name, "Green tea")

    def test_malformed_products_are_refused(self):
        refused = self.client.post("/products/", {**TEA, "price": -1})
        self.assertEqual(refused.status_code, 400)
        self.assertEqual(list(refused.json()["errors"]), ["price"])
        self.assertEqual(self.client.get("/products/?max_price=many").status_code, 400)

    def test_products_are_filtered_and_listed_in_pages(self):
        Product.objects.bulk_create(
            Product(sku=f"item-{price:02}", name="Item", price=price) for price in range(30)
        )
        listed = self.client.get("/products/", {"max_price": 24, "page": 2}).json()
        self.assertEqual(listed["count"], 25)
        self.assertEqual([one["price"] for one in listed["products"]], [20, 21, 22, 23, 24])

    def test_no_more_is_taken_than_there_is(self):
        self.client.post("/products/", TEA)
        taken = self.client.post("/products/tea/take/", {"quantity": 7})
        self.assertEqual((taken.status_code, taken.json()["stock"]), (200, 3))
        refused = self.client.post("/products/tea/take/", {"quantity": 4})
        self.assertEqual((refused.status_code, refused.json()["stock"]), (409, 3))
        absent = self.client.post("/products/cup/take/", {"quantity": 1})
        self.assertEqual(absent.status_code, 404)
