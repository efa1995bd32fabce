"""mongoengine: documents, references and files."""

import sys

import mongoengine
from mongoengine import (
    CASCADE,
    Document,
    FileField,
    IntField,
    ListField,
    NotUniqueError,
    ReferenceField,
    StringField,
)


class User(Document):
    name = StringField(unique=True)
    age = IntField()
    meta = {"indexes": ["-age"]}


class Post(Document):
    author = ReferenceField(User, reverse_delete_rule=CASCADE)
    picture = FileField()
    tags = ListField(StringField())


def main(uri: str) -> None:
    mongoengine.connect("mongoengine", host=uri)
    ada, ben = User(name="Ada", age=30).save(), User(name="Ben", age=40).save()
    try:
        User(name="Ada").save()
    except NotUniqueError:
        print("a second Ada is refused")
    print(sorted(User._get_collection().index_information()))

    post = Post(author=ada, tags=["x", "y"])
    post.picture.put(b"picture" * 50_000, filename="ada.png", content_type="image/png")
    post.save()
    post = Post.objects(tags="y").first()
    print(post.author.name, len(post.picture.read()), post.picture.filename)
    assert post.picture.length == 350_000

    names = [user.name for user in User.objects.order_by("-age")]
    print(names, User.objects(age__gt=30).count(), User.objects.sum("age"))
    assert names == ["Ben", "Ada"]
    print(
        User.objects(name="Ada").modify(inc__age=5, new=True).age,
        User.objects.in_bulk([ben.id])[ben.id].name,
    )
    print(list(User.objects.aggregate([{"$group": {"_id": None, "old": {"$max": "$age"}}}])))
    print(User.objects(name="Ben").update(set__age=1), User.objects.get(name="Ben").age)
    print(
        User.objects[1:2][0].name, User.objects.only("name").explain()["queryPlanner"]["namespace"]
    )
    ada.delete()
    print(Post.objects.count())
    assert Post.objects.count() == 0
    mongoengine.disconnect()


if __name__ == "__main__":
    main(sys.argv[1])
