//! The hub driver: a blocking call in a greenlet of gevent or eventlet. What its future waits for is handed to
//! the hub of the thread (`python/ferromongo/_hubs`), and other greenlets run until it is there.
//!
//! Greenlets share a thread, and each switch puts another C stack in its place, Rust's frames with it. So
//! nothing that belongs to the thread may be held wherever Python code runs, in a wait or in a callback of the
//! user's: no lock, no borrow, no `detach` around it. The collected events are put aside there
//! (`own::resume`). The future is polled with the GIL, as on an event loop.

use std::future::Future;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::callbacks::{self, Ran};
use super::imports;
use super::once::name;
use crate::event::own;
use crate::net::fork::OfProcess;
use crate::net::lane::Lane;
use crate::net::wait::{self, Interest, WaitSet};
use crate::sync::Mutex;

/// Where the calls of this thread wait instead of poll(2), if its sockets are gevent's or eventlet's: a
/// `Waits` of `python/ferromongo/_hubs`.
#[inline]
pub fn here(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let sockets = imports::SOCKET_MODULE.get(py)?.cast::<PyDict>()?;
    match sockets.get_item(name!(py, "socket"))? {
        Some(class) if class.as_ptr() != PLAIN.load(Ordering::Relaxed) => of_class(&class),
        _ => Ok(None),
    }
}

/// `socket.socket` while no hub has replaced it. `KNOWN` keeps it alive.
static PLAIN: AtomicPtr<ffi::PyObject> = AtomicPtr::new(null_mut());

/// The class seen last, and who knows the hub of a thread.
struct Known {
    class: Py<PyAny>,
    here: Option<Py<PyAny>>,
}

static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

#[cold]
fn of_class<'py>(class: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = class.py();
    let known = KNOWN.lock().as_ref().filter(|known| known.class.is(class)).map(|known| {
        let here = known.here.as_ref();
        here.map(|here| here.clone_ref(py))
    });
    let here = match known {
        Some(here) => here,
        None => {
            let found = imports::LOOK_FOR_HUB.get(py)?.call0()?;
            let here = (!found.is_none()).then(|| found.unbind());
            let plain = if here.is_none() { class.as_ptr() } else { null_mut() };
            let known = Known {
                class: class.clone().unbind(),
                here: here.as_ref().map(|it| it.clone_ref(py)),
            };
            let former = KNOWN.lock().replace(known);
            PLAIN.store(plain, Ordering::Relaxed);
            drop(former);
            here
        }
    };
    let Some(here) = here else { return Ok(None) };
    let waits = here.bind(py).call0()?;
    Ok((!waits.is_none()).then_some(waits))
}

/// Runs `future` to its end and delivers its events; `given_up` is asked a few times a second. `None` if it
/// says yes. An exception that is raised into the greenlet leaves the future as it is.
pub fn run<F: Future + ?Sized>(
    waits: &Bound<'_, PyAny>,
    mut future: Pin<&mut F>,
    given_up: Option<&dyn Fn() -> bool>,
) -> PyResult<Option<F::Output>> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let py = waits.py();
    let own = own::current();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let bell = HubBell::of_this_thread(py)?;
    let woken = Arc::new(Woken { is: AtomicBool::new(false), bell: bell.get().0.waker(number) });
    let waker = Waker::from(woken.clone());
    let mut set = WaitSet::default();
    loop {
        woken.is.store(false, Ordering::SeqCst);
        let polled = wait::poll(&mut set, &waker, future.as_mut());
        if let Poll::Ready(output) = polled {
            set.sockets.clear();
            callbacks::run(py, None)?;
            return Ok(Some(output));
        }
        // A listener may have let others run. A wake-up in that time found no call that waits for the bell.
        if callbacks::run(py, None)? != Ran::Nothing || woken.is.load(Ordering::SeqCst) {
            continue;
        }
        let sockets = set.sockets.iter();
        let sockets: Vec<_> =
            sockets.map(|(stream, interest)| (stream.fd(), *interest == Interest::Write)).collect();
        let seconds = set.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let slice = given_up.is_some().then_some(SLICE);
        let seconds = seconds.into_iter().chain(slice).min().map(|time| time.as_secs_f64());
        let bell = set.gate.then_some(&bell);
        own::leave();
        let waited = waits.call_method1(name!(py, "wait"), (sockets, seconds, bell, number));
        own::resume(own);
        waited?;
        if given_up.is_some_and(|given_up| given_up()) {
            return Ok(None);
        }
    }
}

/// The same for a future that belongs to no operation; `None` in a child that was forked meanwhile.
pub fn block_on<F: Future>(waits: &Bound<'_, PyAny>, future: F) -> PyResult<Option<F::Output>> {
    let mut future = OfProcess::new(Box::pin(future));
    let polled = std::future::poll_fn(|context| match future.is_inherited() {
        true => Poll::Ready(None),
        false => future.as_mut().poll(context).map(Some),
    });
    Ok(run(waits, std::pin::pin!(polled), None)?.flatten())
}

/// The waker of one call. Not every wake-up comes while the call waits in the hub.
struct Woken {
    is: AtomicBool,
    bell: Waker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.is.store(true, Ordering::SeqCst);
        self.bell.wake_by_ref();
    }
}

/// What the hub of a thread watches for the calls that others wake.
#[pyclass(frozen, module = "ferromongo._core")]
struct HubBell(Arc<Lane>);

impl HubBell {
    fn of_this_thread(py: Python<'_>) -> PyResult<Bound<'_, HubBell>> {
        thread_local! {
            static BELL: std::cell::RefCell<Option<Py<HubBell>>> = const { std::cell::RefCell::new(None) };
        }
        let known = BELL.with_borrow(|bell| bell.as_ref().map(|bell| bell.bind(py).clone()));
        if let Some(bell) = known.filter(|bell| !bell.get().0.is_inherited()) {
            return Ok(bell);
        }
        let bell = Bound::new(py, HubBell(Lane::new()?))?;
        let former = BELL.replace(Some(bell.clone().unbind()));
        drop(former);
        Ok(bell)
    }
}

#[pymethods]
impl HubBell {
    fn fileno(&self) -> i32 {
        self.0.bell().as_raw_fd()
    }

    fn woken(&self) -> Vec<u64> {
        self.0.take_woken()
    }
}

/// As `loop_driver::prepare`.
pub fn prepare(py: Python<'_>) {
    py.get_type::<HubBell>();
}

const SLICE: Duration = Duration::from_millis(100);
