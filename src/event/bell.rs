//! What the dispatcher sleeps on: rung when some queue of the process has got an event.

use std::sync::LazyLock;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::net::fork::PerProcess;

#[derive(Default)]
struct Bell {
    state: Mutex<State>,
    told: Condvar,
}

#[derive(Default)]
struct State {
    rung: bool,
    stopped: bool,
}

/// From any thread.
pub fn ring() {
    let bell = BELL.get();
    let mut state = bell.state.lock();
    if !std::mem::replace(&mut state.rung, true) {
        bell.told.notify_all();
    }
}

/// Sleeps until the bell has been rung, and a moment longer. False once stopped.
pub fn wait() -> bool {
    let bell = BELL.get();
    let mut state = bell.state.lock();
    while !state.rung && !state.stopped {
        bell.told.wait(&mut state);
    }
    if !state.stopped {
        bell.told.wait_for(&mut state, GRACE);
    }
    state.rung = false;
    !state.stopped
}

/// Nobody shall sleep here any longer: the interpreter ends.
pub fn stop() {
    let bell = BELL.get();
    bell.state.lock().stopped = true;
    bell.told.notify_all();
}

/// Makes what a process has once.
pub fn prepare() {
    LazyLock::force(&BELL);
}

static BELL: LazyLock<PerProcess<Bell>> = LazyLock::new(PerProcess::default);

/// Events of an operation are best delivered by its own thread, where the user's context is.
const GRACE: Duration = Duration::from_millis(20);
