//! Knowing that this process is a fork.
//!
//! A generation counts forks; what was made in an older generation belongs to the parent and is
//! left alone. The child closes the parent's lane sockets itself (a plain close sends nothing, the
//! parent still holds them), from a bitmap, so that no lock held at the fork is ever asked for.

use std::os::fd::{OwnedFd, RawFd};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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
