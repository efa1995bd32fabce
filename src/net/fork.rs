//! Knowing that this process is a fork.
//!
//! A generation counts forks; what was made in an older generation belongs to the parent and is
//! left alone. The child closes the parent's descriptors itself (a plain close sends nothing, the
//! parent still holds them), from a bitmap, so that no lock held at the fork is ever asked for.
//!
//! A fork may happen wherever Python runs, also in the middle of an operation (in a signal handler, a
//! listener, a callback). There the child returns into the parent's operation: its task ends
//! (`OfProcess::is_inherited`), and nothing of it is dropped.

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Once};

use arc_swap::ArcSwap;

static GENERATION: AtomicU64 = AtomicU64::new(0);

/// One bit for each open `Descriptor` below 65,536; one above that stays open in children.
static DESCRIPTORS: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];

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

/// A value that only the process which made it drops. A child leaves its parent's as they are: their
/// locks may be held by threads that do not exist in the child, and what they would close or deregister
/// may be in use by the parent, or belong to another file by then.
pub struct OfProcess<T> {
    value: ManuallyDrop<T>,
    born_in: u64,
}

impl<T> OfProcess<T> {
    pub fn new(value: T) -> OfProcess<T> {
        OfProcess { value: ManuallyDrop::new(value), born_in: generation() }
    }

    /// To be called in the process that made it.
    pub fn into_inner(self) -> T {
        let mut own = ManuallyDrop::new(self);
        // SAFETY: taken once, as `own` is neither used nor dropped afterwards.
        unsafe { ManuallyDrop::take(&mut own.value) }
    }

    /// Whether it was made before a fork, by the parent.
    pub fn is_inherited(&self) -> bool {
        self.born_in != generation()
    }
}

impl<T> Deref for OfProcess<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for OfProcess<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for OfProcess<T> {
    fn drop(&mut self) {
        if !self.is_inherited() {
            // SAFETY: dropped once, here, and not accessible afterwards.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}

/// An open descriptor that no child keeps: `after_fork` has closed it before the child runs, and what
/// the child opens since may have its number.
pub struct Descriptor(OfProcess<OwnedFd>);

impl Descriptor {
    pub fn new(opened: OwnedFd) -> Descriptor {
        if let Some((word, bit)) = place(opened.as_raw_fd()) {
            word.fetch_or(bit, Relaxed);
        }
        Descriptor(OfProcess::new(opened))
    }

    /// To be checked before each use of the number: an inherited one is closed.
    pub fn is_inherited(&self) -> bool {
        self.0.is_inherited()
    }
}

impl Descriptor {
    /// The program has closed it by its number, which may be one of its own files' by now.
    pub fn was_closed(&self) {
        if let Some((word, bit)) = place(self.as_raw_fd()) {
            word.fetch_and(!bit, Relaxed);
        }
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // Before it is closed: afterwards its number may belong to another file.
        if !self.is_inherited()
            && let Some((word, bit)) = place(self.as_raw_fd())
        {
            word.fetch_and(!bit, Relaxed);
        }
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

/// Why an operation of the parent's ends in a child that returns into it.
pub const INHERITED: &str =
    "the process was forked during this operation, which continues in the parent";

fn place(descriptor: RawFd) -> Option<(&'static AtomicU64, u64)> {
    let number = usize::try_from(descriptor).ok()?;
    Some((DESCRIPTORS.get(number / 64)?, 1 << (number % 64)))
}

/// The program has closed all descriptors by their numbers, which may be its own files' by now: no child
/// closes them.
pub fn forget_descriptors() {
    DESCRIPTORS.iter().for_each(|word| word.store(0, Relaxed));
}

extern "C" fn after_fork() {
    GENERATION.fetch_add(1, Relaxed);
    for (index, word) in DESCRIPTORS.iter().enumerate() {
        let mut bits = word.swap(0, Relaxed);
        while bits != 0 {
            let bit = bits.trailing_zeros() as usize;
            bits &= bits - 1;
            // SAFETY: the bitmap holds only what `Descriptor`s own. In the child these never close the
            // number again, and each use checks first whether it is inherited.
            unsafe { libc::close((index * 64 + bit) as RawFd) };
        }
    }
}
