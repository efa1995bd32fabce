"""What the programs about greenlets share."""


def slow(client, milliseconds):
    """A call that the server holds for so long."""
    client.admin.command("sleep", 1, millis=milliseconds, lock="none")


def all_of(hub, *calls):
    """The results of calls made in a greenlet each."""
    return [hub.wait(greenlet) for greenlet in [hub.spawn(*call) for call in calls]]


def overlap(hub, client):
    """Five slow calls are all under way before the first one ends."""
    order = []

    def work():
        order.append("begin")
        slow(client, 300)
        order.append("end")

    all_of(hub, *[(work,)] * 5)
    assert order == ["begin"] * 5 + ["end"] * 5, order
