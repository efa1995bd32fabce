//! Which threads take the process's signals.

/// Blocks all signals in this thread: Python's threads handle them.
pub fn block() {
    // SAFETY: sigfillset and pthread_sigmask only write to the set given to them.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
    }
}
