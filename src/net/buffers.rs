//! Reply buffers that stay warm: a fresh 16 MB allocation costs its page faults each time.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::sync::Mutex;

/// A few used buffers, shared by the connections of a client.
#[derive(Default)]
pub struct Buffers(Mutex<Vec<Vec<u8>>>);

/// A `Vec` that goes back to its pool when dropped.
pub struct Buffer {
    bytes: Vec<u8>,
    home: Arc<Buffers>,
}

impl Buffers {
    /// An empty buffer with room for at least `capacity` bytes.
    pub fn take(self: &Arc<Self>, capacity: usize) -> Buffer {
        let mut kept = self.0.lock();
        let bytes = match kept.iter().position(|bytes| bytes.capacity() >= capacity) {
            Some(index) => kept.swap_remove(index),
            None => Vec::with_capacity(capacity),
        };
        Buffer { bytes, home: self.clone() }
    }

    fn give_back(&self, mut bytes: Vec<u8>) {
        if (SMALLEST..=LARGEST).contains(&bytes.capacity()) {
            bytes.clear();
            // Not waited for: a reply may be dropped in a forked child, where a lock that another
            // thread held at the fork is never let go.
            if let Some(mut kept) = self.0.try_lock()
                && kept.len() < KEPT
            {
                kept.push(bytes);
            }
        }
    }
}

impl Buffer {
    /// Another buffer of the same pool, empty, with room for at least `capacity` bytes.
    pub fn another(&self, capacity: usize) -> Buffer {
        self.home.take(capacity)
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.bytes));
    }
}

const KEPT: usize = 2;
/// malloc is fast below; above, memory is worth more than the time.
const SMALLEST: usize = 64 * 1024;
const LARGEST: usize = 20 * 1024 * 1024;
