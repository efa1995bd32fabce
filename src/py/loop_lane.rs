//! What one event loop and its operations share: registered sockets, and who waits for a gate.
//!
//! Each loop has one `LoopLane`, kept in a weak-keyed dictionary. It never holds the loop: its
//! callbacks sit in the loop's selector, and a reference back would keep the loop alive for ever.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use pyo3::exceptions::{PyAttributeError, PyNotImplementedError};
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;

use super::future::Started;
use super::imports;
use super::loop_callbacks::{Bell, Readable, Writable, wake};
use super::once::{Once, name};
use super::pulse::Pulse;
use crate::net::lane::Lane;
use crate::net::stream::Stream;
use crate::net::wait::Interest;
use crate::sync::Mutex;

#[pyclass(frozen, weakref, module = "ferromongo._core")]
pub struct LoopLane {
    pub(super) lane: Arc<Lane>,
    event_loop: Py<PyWeakrefReference>,
    /// False on loops without `add_reader`.
    pub(super) watches: bool,
    registered: Mutex<HashMap<RawFd, Arc<Registration>>>,
    /// Operations that wait for their waker.
    pub(super) gates: Mutex<HashMap<u64, Py<PyAny>>>,
    pub(super) pulse: Pulse,
}

pub(super) struct Registration {
    pub(super) stream: Weak<Stream>,
    pub(super) reader: Mutex<Option<Py<PyAny>>>,
    /// Not watched while a frame waits to be taken and others may be behind it.
    pub(super) held_up: AtomicBool,
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

    pub(super) fn of<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, LoopLane>> {
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
    pub(super) fn watch<'py>(
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
    pub(super) fn close_buried(&self, py: Python<'_>) -> PyResult<()> {
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

/// In a child: the tasks that were in flight would wait for ever for sockets that it does not have. If it
/// comes back into the parent's event loop, their operations end (`pending::Work`).
#[pyfunction]
pub(super) fn wake_inherited(py: Python<'_>) -> PyResult<()> {
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
