//! The event loop driver: sockets registered with the running asyncio loop, tasks suspended on its
//! futures. Works on every loop with `add_reader` (asyncio's own on Unix, uvloop).
//!
//! Each loop has one `LoopLane`, kept in a weak-keyed dictionary. It never holds the loop: its
//! callbacks sit in the loop's selector, and a reference back would keep the loop alive for ever.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use std::time::Instant;

use parking_lot::Mutex;
use pyo3::exceptions::{PyAttributeError, PyNotImplementedError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyWeakrefReference};

use super::future::Started;
use super::once::{Once, name};
use super::pending::{Step, Task};
use super::pulse::{Beat, Pulse, Waiting};
use super::{errors, gil, imports, listeners};
use crate::error::Error;
use crate::net::lane::Lane;
use crate::net::stream::{Filled, Stream};
use crate::net::wait::{self, Interest, WaitSet};

/// A task on its way in one event loop.
pub struct Flight {
    task: Option<Box<dyn Task>>,
    lane: Py<LoopLane>,
    set: WaitSet,
    waker: Waker,
    number: u64,
    timer: Option<Py<PyAny>>,
    /// While it is suspended.
    waiting: Option<Waiting>,
    /// A bare yield: let others run, then go on.
    pause: bool,
}

impl Flight {
    /// The loop and the task back if this loop cannot watch sockets.
    #[allow(clippy::type_complexity)]
    pub fn new<'py>(
        py: Python<'py>,
        task: Box<dyn Task>,
    ) -> PyResult<Result<Flight, (Bound<'py, PyAny>, Box<dyn Task>)>> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let event_loop = imports::GET_RUNNING_LOOP.get(py)?.call0()?;
        let lane = LoopLane::of(&event_loop)?;
        if !lane.get().watches {
            return Ok(Err((event_loop, task)));
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let waker = lane.get().lane.waker(number);
        let set = WaitSet { lane: Some(lane.get().lane.clone()), ..WaitSet::default() };
        let lane = lane.unbind();
        let task = Some(task);
        Ok(Ok(Flight { task, lane, set, waker, number, timer: None, waiting: None, pause: false }))
    }

    /// Polls until the task waits for something; `suspended` then answers what to yield.
    pub fn step(&mut self, py: Python<'_>) -> PyResult<Poll<Py<PyAny>>> {
        self.waiting = None;
        self.forget_timer(py)?;
        self.forget_gate();
        let result = self.advance(py);
        if !matches!(result, Ok(Poll::Pending)) {
            self.task = None;
            self.set.sockets.clear();
            self.lane.get().close_buried(py)?;
        }
        result
    }

    /// The object that the awaiting task yields to its loop.
    pub fn suspended(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if self.takes_pause() {
            return Ok(py.None());
        }
        self.refuse_inherited(py)?; // first: a child may have no running loop
        let event_loop = imports::GET_RUNNING_LOOP.get(py)?.call0()?;
        let future = event_loop.call_method0(name!(py, "create_future"))?;
        future.setattr(name!(py, "_asyncio_future_blocking"), true)?;
        self.arm(&event_loop, &future)?;
        Ok(future.unbind())
    }

    /// Of a process that was forked in what was called meanwhile.
    fn refuse_inherited(&self, py: Python<'_>) -> PyResult<()> {
        if self.lane.get().lane.is_inherited() {
            return Err(errors::to_python(py, &Error::forked()));
        }
        Ok(())
    }

    /// True once if the task only lets others run.
    pub fn takes_pause(&mut self) -> bool {
        std::mem::take(&mut self.pause)
    }

    /// Has `sleeper`, a future or a started call, woken when what the task waits for is there.
    pub fn arm(
        &mut self,
        event_loop: &Bound<'_, PyAny>,
        sleeper: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = event_loop.py();
        self.refuse_inherited(py)?;
        let lane = self.lane.get();
        for (stream, interest) in &self.set.sockets {
            lane.watch(event_loop, stream, *interest, sleeper)?;
        }
        if self.set.gate {
            let former = lane.gates.lock().insert(self.number, sleeper.clone().unbind());
            drop(former);
        }
        if let Some(at) = self.set.deadline {
            let delay = at.saturating_duration_since(Instant::now()).as_secs_f64();
            let wake = Bound::new(py, Wake(sleeper.clone().unbind()))?;
            let timer = in_empty_context(event_loop, "call_later", delay, wake)?;
            self.timer = Some(timer.unbind());
        }
        self.waiting = Some(lane.pulse.wait(event_loop, self.lane.bind(py))?);
        lane.close_buried(py)
    }

    /// Drops the task; what it left half-done on the wire is closed.
    pub fn cancel(mut self, py: Python<'_>) -> PyResult<()> {
        self.task = None;
        self.set.sockets.clear();
        self.forget_gate();
        self.forget_timer(py)?;
        self.lane.get().close_buried(py)
    }

    fn advance(&mut self, py: Python<'_>) -> PyResult<Poll<Py<PyAny>>> {
        while let Some(task) = &mut self.task {
            let work = std::pin::pin!(poll_fn(|context| task.poll(context)));
            if wait::poll(&mut self.set, &self.waker, work).is_pending() {
                return Ok(Poll::Pending);
            }
            self.set.sockets.clear();
            listeners::deliver_own(py, None)?; // as `poll_blocking` does
            match self.task.take().map(|task| task.finish(py)).transpose()? {
                Some(Step::Done(value)) => return Ok(Poll::Ready(value)),
                Some(Step::Again(next)) => self.task = Some(next),
                Some(Step::Pause(next)) => {
                    self.task = Some(next);
                    self.pause = true;
                    return Ok(Poll::Pending);
                }
                None => break,
            }
        }
        Ok(Poll::Ready(py.None()))
    }

    /// What woke us may have been a socket or the clock.
    fn forget_gate(&mut self) {
        if std::mem::take(&mut self.set.gate) {
            let forgotten = self.lane.get().gates.lock().remove(&self.number);
            drop(forgotten);
        }
    }

    fn forget_timer(&mut self, py: Python<'_>) -> PyResult<()> {
        if let Some(timer) = self.timer.take() {
            timer.call_method0(py, name!(py, "cancel"))?;
        }
        Ok(())
    }
}

#[pyclass(frozen, weakref, module = "ferromongo._core")]
pub struct LoopLane {
    lane: Arc<Lane>,
    event_loop: Py<PyWeakrefReference>,
    /// False on loops without `add_reader`.
    watches: bool,
    registered: Mutex<HashMap<RawFd, Arc<Registration>>>,
    /// Operations that wait for their waker.
    gates: Mutex<HashMap<u64, Py<PyAny>>>,
    pulse: Pulse,
}

struct Registration {
    stream: Weak<Stream>,
    reader: Mutex<Option<Py<PyAny>>>,
    /// Not watched while a frame waits to be taken and others may be behind it.
    held_up: AtomicBool,
}

impl LoopLane {
    fn new(event_loop: &Bound<'_, PyAny>, watches: bool) -> PyResult<LoopLane> {
        Ok(LoopLane {
            lane: Lane::new()?,
            event_loop: PyWeakrefReference::new(event_loop)?.unbind(),
            watches,
            registered: Mutex::default(),
            gates: Mutex::default(),
            pulse: Pulse::default(),
        })
    }

    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    fn of<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, LoopLane>> {
        thread_local! {
            // Weak: a lane ends with its loop, and its sockets with it.
            static LATEST: RefCell<Option<Py<PyWeakrefReference>>> = const { RefCell::new(None) };
        }
        let py = event_loop.py();
        let latest =
            LATEST.with_borrow(|latest| latest.as_ref()?.bind(py).upgrade_as::<LoopLane>().ok()?);
        if let Some(lane) = latest
            && !lane.get().lane.is_inherited()
            && lane.get().is_of(event_loop)
        {
            return Ok(lane);
        }
        let lane = LoopLane::find_or_make(event_loop)?;
        LATEST.set(Some(PyWeakrefReference::new(&lane)?.unbind()));
        Ok(lane)
    }

    fn is_of(&self, event_loop: &Bound<'_, PyAny>) -> bool {
        self.event_loop.bind(event_loop.py()).upgrade().is_some_and(|own| own.is(event_loop))
    }

    fn find_or_make<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, LoopLane>> {
        let py = event_loop.py();
        let lanes = lanes(py)?;
        if let Ok(known) = lanes.call_method1("get", (event_loop,))?.cast_into::<LoopLane>()
            && !known.get().lane.is_inherited()
        {
            return Ok(known);
        }
        retire_closed(lanes)?;
        let lane = Bound::new(py, LoopLane::new(event_loop, true)?)?;
        let bell = lane.get().lane.bell().as_raw_fd();
        let callback = Bound::new(py, Bell(PyWeakrefReference::new(&lane)?.unbind()))?;
        match in_empty_context(event_loop, "add_reader", bell, callback) {
            Ok(_) => {}
            Err(error) if cannot_watch(py, &error) => {
                return Bound::new(py, LoopLane::new(event_loop, false)?);
            }
            Err(error) => return Err(error),
        }
        lanes.set_item(event_loop, &lane)?;
        Ok(lane)
    }

    /// Has `future` set when the socket is ready.
    fn watch<'py>(
        &self,
        event_loop: &Bound<'py, PyAny>,
        stream: &Arc<Stream>,
        interest: Interest,
        future: &Bound<'py, PyAny>,
    ) -> PyResult<()> {
        let py = event_loop.py();
        stream.settle(&self.lane);
        match interest {
            Interest::Read => {
                let mut registered = self.registered.lock();
                if let Some(known) = registered.get(&stream.fd()) {
                    let known = known.clone();
                    drop(registered);
                    let former = known.reader.lock().replace(future.clone().unbind());
                    drop(former); // not under the lock, and so everywhere here
                    if known.held_up.swap(false, Ordering::Relaxed) {
                        let callback = Bound::new(py, Readable(known))?;
                        in_empty_context(event_loop, "add_reader", stream.fd(), callback)?;
                    }
                    return Ok(());
                }
                let registration = Arc::new(Registration {
                    stream: Arc::downgrade(stream),
                    reader: Mutex::new(Some(future.clone().unbind())),
                    held_up: AtomicBool::new(false),
                });
                let former = registered.insert(stream.fd(), registration.clone());
                drop(registered);
                drop(former);
                let callback = Bound::new(py, Readable(registration))?;
                in_empty_context(event_loop, "add_reader", stream.fd(), callback)?;
            }
            Interest::Write => {
                let writable = Writable {
                    stream: Arc::downgrade(stream),
                    socket: stream.fd(),
                    future: future.clone().unbind(),
                };
                let callback = Bound::new(py, writable)?;
                in_empty_context(event_loop, "add_writer", stream.fd(), callback)?;
            }
        }
        Ok(())
    }

    /// The loop was closed while started calls were on their way. Nothing else ends them, as no task waits for
    /// them, and each holds the loop.
    fn abandon(&self, py: Python<'_>) -> PyResult<()> {
        let is_started = |sleeper: &Py<PyAny>| sleeper.bind(py).is_exact_instance_of::<Started>();
        let registered: Vec<_> = self.registered.lock().values().cloned().collect();
        let mut left: Vec<_> = registered
            .iter()
            .filter_map(|registration| registration.reader.lock().take_if(|it| is_started(it)))
            .collect();
        left.extend(self.gates.lock().extract_if(|_, it| is_started(it)).map(|(_, it)| it));
        left.iter().try_for_each(|it| it.bind(py).cast::<Started>()?.get().drop_operation(py))
    }

    /// Closes the sockets that were handed over, after the loop has forgotten them. Outside of this
    /// lane's loop (a coroutine may be dropped anywhere) that is left to the bell.
    fn close_buried(&self, py: Python<'_>) -> PyResult<()> {
        if !self.lane.has_buried() {
            return Ok(());
        }
        let event_loop = imports::RUNNING_LOOP_OR_NONE.get(py)?.call0()?;
        if !self.is_of(&event_loop) {
            return Ok(());
        }
        for socket in self.lane.take_buried() {
            let number = socket.as_raw_fd();
            let known = self.registered.lock().remove(&number);
            drop(known); // not under the lock: it holds a Python object
            let forgotten = event_loop
                .call_method1(name!(py, "remove_reader"), (number,))
                .and_then(|_| event_loop.call_method1(name!(py, "remove_writer"), (number,)));
            drop(socket);
            forgotten?;
        }
        Ok(())
    }
}

impl Drop for LoopLane {
    fn drop(&mut self) {
        self.lane.retire();
    }
}

/// Makes the classes that the module does not export: pyo3 makes a class at its first use, in a
/// cell with the weakness that `once` tells of.
pub fn prepare(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    py.get_type::<LoopLane>();
    py.get_type::<Wake>();
    py.get_type::<Readable>();
    py.get_type::<Writable>();
    py.get_type::<Bell>();
    py.get_type::<Beat>();
    py.get_type::<Started>();
    let hooks = PyDict::new(py);
    hooks.set_item("after_in_child", wrap_pyfunction!(wake_inherited, module)?)?;
    imports::REGISTER_AT_FORK.get(py)?.call((), Some(&hooks)).map(drop)
}

/// In a child: the tasks that were in flight would wait for ever for sockets that it does not have. If it
/// comes back into the parent's event loop, their operations end (`pending::Work`).
#[pyfunction]
fn wake_inherited(py: Python<'_>) -> PyResult<()> {
    for lane in lanes(py)?.call_method0("values")?.try_iter()?.collect::<PyResult<Vec<_>>>()? {
        let lane = lane.cast::<LoopLane>()?.get();
        let mut waiting: Vec<_> = lane.gates.lock().drain().map(|(_, future)| future).collect();
        let registered: Vec<_> = lane.registered.lock().values().cloned().collect();
        waiting.extend(registered.iter().filter_map(|it| it.reader.lock().take()));
        // A loop that was closed takes no wake-ups.
        let _ = waiting.iter().try_for_each(|sleeper| match sleeper.bind(py).cast::<Started>() {
            Ok(started) => Started::wake_later(started),
            Err(_) => wake(sleeper.bind(py)),
        });
    }
    Ok(())
}

/// The lane of each event loop, by weak reference.
fn lanes(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static LANES: Once<Py<PyAny>> = Once::new();
    let make = || imports::WEAK_KEY_DICTIONARY.get(py)?.call0().map(Bound::unbind);
    LANES.get_or_try_init(py, make).map(|lanes| lanes.bind(py))
}

/// Loops that were closed but are still referenced somewhere.
fn retire_closed(lanes: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = lanes.py();
    let items = lanes.call_method0("items")?.try_iter()?.collect::<PyResult<Vec<_>>>()?;
    for item in items {
        let (event_loop, lane): (Bound<'_, PyAny>, Bound<'_, LoopLane>) = item.extract()?;
        if event_loop.call_method0("is_closed")?.is_truthy()? {
            lane.get().lane.retire();
            // Another thread may have been here first.
            lanes.call_method1("pop", (event_loop, py.None()))?;
            lane.get().abandon(py)?;
        }
    }
    Ok(())
}

/// Calls a loop method that captures the current context, inside an empty one: the callback would
/// keep the caller's context alive, and show its variables to every later user of the connection.
pub fn in_empty_context<'py>(
    event_loop: &Bound<'py, PyAny>,
    method: &str,
    what: impl IntoPyObject<'py>,
    callback: impl IntoPyObject<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    let context = imports::CONTEXT.get(py)?.call0()?;
    context.call_method1(name!(py, "run"), (event_loop.getattr(method)?, what, callback))
}

fn cannot_watch(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyNotImplementedError>(py)
        || error.is_instance_of::<PyAttributeError>(py)
}

/// Has a future set, or a started call go on at once.
fn wake(sleeper: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(started) = sleeper.cast_exact::<Started>() {
        return Started::wake(started);
    }
    let (py, future) = (sleeper.py(), sleeper);
    if !future.call_method0(name!(py, "done"))?.is_truthy()? {
        future.call_method1(name!(py, "set_result"), (py.None(),))?;
    }
    Ok(())
}

/// The timer's callback.
#[pyclass(frozen)]
struct Wake(Py<PyAny>);

#[pymethods]
impl Wake {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        wake(self.0.bind(py))
    }
}

/// A registered socket is readable: take in what came, wake the operation on a whole frame.
#[pyclass(frozen)]
struct Readable(Arc<Registration>);

#[pymethods]
impl Readable {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let Some(stream) = self.0.stream.upgrade() else { return Ok(()) };
        // Letting go of the GIL costs more than it gives for little data.
        let filled = match stream.outstanding() > WORTH_DETACHING {
            true => gil::detach(py, || stream.fill()),
            false => stream.fill(),
        };
        if filled == Filled::Full {
            self.0.held_up.store(true, Ordering::Relaxed);
        }
        // In a child the number is not the stream's any more.
        if (filled == Filled::Full || stream.has_ended()) && !stream.is_inherited() {
            let event_loop = imports::GET_RUNNING_LOOP.get(py)?.call0()?;
            event_loop.call_method1(name!(py, "remove_reader"), (stream.fd(),))?;
        }
        if filled != Filled::Partly {
            let reader = self.0.reader.lock().take();
            if let Some(future) = reader {
                wake(future.bind(py))?;
            }
        }
        Ok(())
    }
}

/// A socket can be written to; asked for anew each time, as it is seldom needed.
#[pyclass(frozen)]
struct Writable {
    stream: Weak<Stream>,
    socket: RawFd,
    future: Py<PyAny>,
}

#[pymethods]
impl Writable {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        if !self.stream.upgrade().is_some_and(|stream| stream.is_inherited()) {
            let event_loop = imports::GET_RUNNING_LOOP.get(py)?.call0()?;
            event_loop.call_method1(name!(py, "remove_writer"), (self.socket,))?;
        }
        wake(self.future.bind(py))
    }
}

/// Another thread, or another task, woke operations or handed over sockets.
#[pyclass(frozen)]
struct Bell(Py<PyWeakrefReference>);

#[pymethods]
impl Bell {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let Some(lane) = self.0.bind(py).upgrade_as::<LoopLane>()? else { return Ok(()) };
        let lane = lane.get();
        for number in lane.lane.take_woken() {
            let waiting = lane.gates.lock().remove(&number);
            if let Some(future) = waiting {
                wake(future.bind(py))?;
            }
        }
        lane.close_buried(py)
    }
}

const WORTH_DETACHING: usize = 64 * 1024;
