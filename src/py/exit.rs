//! The end of the interpreter. Threads that are in the engine by then stop where they are.
//!
//! CPython before 3.14 ends a thread that asks for the GIL after finalization has begun: it calls
//! `pthread_exit` in the middle of whatever the thread was doing, and glibc unwinds the stack by force.
//! Rust frames must not be unwound by force. Destructors would drop Python objects without the GIL,
//! and where a panic would be caught the process is aborted. Any call from Rust into Python may end so:
//! the interpreter takes the GIL from a thread wherever Python code runs, be it a `__del__`.
//!
//! So a thread stops before its first Rust frame is touched, and sleeps until the process ends. That
//! is what CPython does itself since 3.14. The unwinder calls the personality function of each frame,
//! and all frames of this library refer to theirs through one variable, which `prepare` replaces.

/// Called when the module is imported.
pub fn prepare() {
    // Elsewhere `pthread_exit` unwinds nothing.
    #[cfg(all(
        target_os = "linux",
        target_env = "gnu",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    unwinding::watch();
}

#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod unwinding {
    use std::ffi::{c_int, c_void};
    use std::mem::transmute;
    use std::sync::atomic::{AtomicPtr, Ordering};
    use std::time::Duration;

    use crate::net::signals;

    unsafe extern "C" {
        /// Where frames of this library find their personality function. The compiler makes one such
        /// variable for each library of position-independent code, and it is visible there only. (If it
        /// stopped doing so, the module could not be loaded.)
        #[link_name = "DW.ref.rust_eh_personality"]
        static PERSONALITY: AtomicPtr<c_void>;
    }

    static OF_RUST: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

    pub fn watch() {
        let ours = personality as *mut c_void;
        // SAFETY: an aligned pointer in this library's writable data. The unwinder reads it as one word.
        let variable = unsafe { &PERSONALITY };
        let of_rust = variable.load(Ordering::Relaxed);
        if of_rust != ours {
            OF_RUST.store(of_rust, Ordering::Relaxed);
            variable.store(ours, Ordering::Release);
        }
    }

    /// Described in the Itanium C++ ABI, 1.6.2.
    type Personality = unsafe extern "C" fn(c_int, c_int, u64, *mut c_void, *mut c_void) -> c_int;

    /// Rust's own, but a thread that is unwound because the interpreter ends stops here. All its frames
    /// are still whole then. To Rust it is in a call into Python that never returns.
    unsafe extern "C" fn personality(
        version: c_int,
        actions: c_int,
        class: u64,
        exception: *mut c_void,
        context: *mut c_void,
    ) -> c_int {
        if actions & FORCED != 0 {
            // The flag is lowered a moment after the first threads may have been stopped.
            for _ in 0..100 {
                if has_begun() {
                    park();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        // SAFETY: what the compiler had put into the variable, called with the unwinder's own arguments.
        unsafe {
            let of_rust: Personality = transmute(OF_RUST.load(Ordering::Relaxed));
            of_rust(version, actions, class, exception, context)
        }
    }

    /// Only the thread that ends the interpreter still gets the GIL.
    fn has_begun() -> bool {
        // SAFETY: reads a flag of the process, which is lowered when finalization begins.
        unsafe { pyo3::ffi::Py_IsInitialized() == 0 }
    }

    /// Stops this thread until the process ends.
    fn park() -> ! {
        signals::block(); // one that came here would not interrupt the main thread
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }

    /// `_UA_FORCE_UNWIND`: not a panic but the end of a thread.
    const FORCED: c_int = 8;
}
