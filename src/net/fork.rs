//! Knowing that this process is a fork.
//!
//! A generation counts forks; what was made in an older generation belongs to the parent and is
//! left alone. The child closes the parent's lane sockets itself (a plain close sends nothing, the
//! parent still holds them), from a bitmap, so that no lock held at the fork is ever asked for.

use std::ops::Deref;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Once};

use arc_swap::ArcSwap;

static GENERATION: AtomicU64 = AtomicU64::new(0);

/// One bit for each open lane socket below 65,536; a socket above that stays open in children.
static SOCKETS: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];

pub fn generation() -> u64 {
    GENERATION.load(Relaxed)
}

/// Installs the handler; called once, before the first socket.
pub fn watch() {
    static ONCE: Once = Once::new();
    // SAFETY: `after_fork` does only what is async-signal-safe: atomics and close(2).
    ONCE.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(after_fork));
    });
}

pub fn opened(socket: RawFd) {
    if let Some((word, bit)) = place(socket) {
        word.fetch_or(bit, Relaxed);
    }
}

/// To be called before the socket is closed: afterwards its number may be somebody else's.
pub fn closing(socket: RawFd) {
    if let Some((word, bit)) = place(socket) {
        word.fetch_and(!bit, Relaxed);
    }
}

/// Closes a socket of this process, and forgets one that a fork inherited.
pub fn close(socket: OwnedFd, born_in: u64) {
    use std::os::fd::AsRawFd;
    if born_in == generation() {
        closing(socket.as_raw_fd());
    } else {
        std::mem::forget(socket); // already closed by `after_fork`
    }
}

/// A value that every process makes for itself: a lock in it that was held at the fork is never asked
/// for again.
pub struct PerProcess<T>(ArcSwap<Own<T>>);

pub struct Own<T> {
    born_in: u64,
    value: T,
}

impl<T: Default> PerProcess<T> {
    pub fn get(&self) -> Arc<Own<T>> {
        let held = self.0.load_full();
        if held.born_in == generation() {
            return held;
        }
        self.0.compare_and_swap(&held, Arc::new(Own::default()));
        std::mem::forget(held); // the parent's: never dropped
        self.0.load_full()
    }
}

impl<T: Default> Default for PerProcess<T> {
    fn default() -> Self {
        PerProcess(ArcSwap::from_pointee(Own::default()))
    }
}

impl<T: Default> Default for Own<T> {
    fn default() -> Self {
        Own { born_in: generation(), value: T::default() }
    }
}

impl<T> Deref for Own<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

fn place(socket: RawFd) -> Option<(&'static AtomicU64, u64)> {
    let number = usize::try_from(socket).ok()?;
    Some((SOCKETS.get(number / 64)?, 1 << (number % 64)))
}

extern "C" fn after_fork() {
    GENERATION.fetch_add(1, Relaxed);
    for (index, word) in SOCKETS.iter().enumerate() {
        let mut bits = word.swap(0, Relaxed);
        while bits != 0 {
            let bit = bits.trailing_zeros() as usize;
            bits &= bits - 1;
            // SAFETY: the bitmap holds only sockets of lanes, whose owners in the child see the
            // new generation and never close or use that number again.
            unsafe { libc::close((index * 64 + bit) as RawFd) };
        }
    }
}
