"""gevent and eventlet under one set of names, for the programs about greenlets."""

import functools
import warnings


class Gevent:
    def __init__(self):
        import gevent
        import gevent.monkey
        import gevent.signal

        self.library = gevent
        self.Timeout = gevent.Timeout
        self.Killed = gevent.GreenletExit
        self.sleep = gevent.sleep
        self.spawn = gevent.spawn
        self.current = gevent.getcurrent

    def patch(self):
        self.library.monkey.patch_all()

    def wait(self, greenlet):
        return greenlet.get()

    def kill(self, greenlet):
        greenlet.kill(block=False)

    def was_killed(self, greenlet):
        return isinstance(greenlet.get(), self.Killed)

    def in_thread(self, function):
        return self.library.get_hub().threadpool.apply(function)

    def call_in_hub(self, function):
        self.library.get_hub().loop.run_callback(function)


class Eventlet:
    def __init__(self):
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="eventlet")
        import eventlet
        import eventlet.tpool
        from greenlet import GreenletExit

        self.library = eventlet
        self.Timeout = eventlet.Timeout
        self.Killed = GreenletExit
        self.sleep = eventlet.sleep
        self.spawn = eventlet.spawn
        self.current = eventlet.getcurrent

    def patch(self):
        self.library.monkey_patch()

    def wait(self, greenlet):
        return greenlet.wait()

    def kill(self, greenlet):
        self.library.spawn_after(0, greenlet.kill)

    def was_killed(self, greenlet):
        try:
            greenlet.wait()
        except self.Killed:
            return True
        return False

    def in_thread(self, function):
        return self.library.tpool.execute(function)

    def call_in_hub(self, function):
        self.library.hubs.get_hub().schedule_call_global(0, function)


HUBS = {"gevent": Gevent, "eventlet": Eventlet}


@functools.cache
def hub(name):
    return HUBS[name]()
