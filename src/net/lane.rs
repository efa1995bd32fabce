//! What an event loop and the sockets living in it share, without any Python.
//!
//! `py::loop_lane` registers sockets, `py::loop_driver` suspends tasks; here are the parts that other threads
//! touch: waking an operation, and handing over sockets to be closed only after the loop has
//! forgotten them (closing a registered socket would leave a dead entry in the loop's selector).

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Wake, Waker};

use rustix::event::{EventfdFlags, eventfd};

use super::fork::Descriptor;
use crate::sync::Mutex;

pub struct Lane {
    pub id: u64,
    /// Readable when `take_woken` or `take_buried` has something.
    bell: Descriptor,
    woken: Mutex<Vec<u64>>,
    buried: Mutex<Vec<Descriptor>>,
    retired: AtomicBool,
}

impl Lane {
    pub fn new() -> std::io::Result<Arc<Lane>> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Ok(Arc::new(Lane {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            bell: Descriptor::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?),
            woken: Mutex::default(),
            buried: Mutex::default(),
            retired: AtomicBool::new(false),
        }))
    }

    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// The parent's, in a child: nothing in it is touched, its locks may have been held at the fork.
    pub fn is_inherited(&self) -> bool {
        self.bell.is_inherited()
    }

    /// Silences the bell and answers the operations that were woken.
    pub fn take_woken(&self) -> Vec<u64> {
        if self.is_inherited() {
            return Vec::new();
        }
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        std::mem::take(&mut self.woken.lock())
    }

    pub fn take_buried(&self) -> Vec<Descriptor> {
        std::mem::take(&mut self.buried.lock())
    }

    pub fn has_buried(&self) -> bool {
        !self.is_inherited() && !self.buried.lock().is_empty()
    }

    /// The loop is closed or gone: nobody will answer the bell again.
    pub fn retire(&self) {
        if self.is_inherited() {
            return;
        }
        let closed = {
            let mut buried = self.buried.lock();
            self.retired.store(true, Ordering::SeqCst);
            std::mem::take(&mut *buried)
        };
        drop(closed);
    }

    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Takes a socket that the loop may have registered; the loop's thread closes it.
    pub fn bury(&self, socket: Descriptor) {
        if self.is_inherited() || socket.is_inherited() {
            return;
        }
        // The peer learns of it now, whenever the loop comes round.
        let _ = rustix::net::shutdown(&socket, rustix::net::Shutdown::Both);
        let mut buried = self.buried.lock();
        // Asked under the lock: nothing may be put where `retire` has already looked.
        if self.is_retired() {
            drop(buried);
            return drop(socket);
        }
        buried.push(socket);
        drop(buried);
        self.ring();
    }

    /// Of one operation: has `take_woken` answer its number.
    pub fn waker(self: &Arc<Self>, operation: u64) -> Waker {
        Waker::from(Arc::new(Ring { lane: self.clone(), operation }))
    }

    fn ring(&self) {
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }
}

struct Ring {
    lane: Arc<Lane>,
    operation: u64,
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        if !self.lane.is_inherited() {
            self.lane.woken.lock().push(self.operation);
            self.lane.ring();
        }
    }
}
