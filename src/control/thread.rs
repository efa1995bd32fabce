//! The control thread: one per process, alive while a client is, with a tokio runtime on it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::fstat;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::signal_pipe;
use crate::net::fork::{self, Descriptor, PerProcess};
use crate::net::signals;
use crate::sync::Mutex;

pub struct ControlThread {
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    born_in: u64,
    /// See `is_lost`. Taken only by `drop`.
    sentinel: Option<(Descriptor, u64)>,
    repairs: Option<u64>,
}

impl ControlThread {
    /// The running thread of this process, or a new one.
    pub fn shared() -> std::io::Result<Arc<ControlThread>> {
        let running = RUNNING.get();
        let mut running = running.lock();
        if let Some(thread) = running.upgrade().filter(|thread| !thread.is_lost()) {
            return Ok(thread);
        }
        let thread = Arc::new(ControlThread::start()?);
        *running = Arc::downgrade(&thread);
        Ok(thread)
    }

    /// `None`, and nothing happens, if the thread is lost.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Option<AbortHandle> {
        (!self.is_lost()).then(|| self.runtime.spawn(future).abort_handle())
    }

    /// The process has closed all its descriptors, those of the runtime too: it can do nothing any more,
    /// and is left as it is.
    pub fn is_lost(&self) -> bool {
        let Some((sentinel, inode)) = &self.sentinel else { return true };
        self.repairs.is_none()
            || self.repairs != signal_pipe::repairs()
            || !fstat(sentinel).is_ok_and(|found| found.st_ino == *inode)
    }

    /// Runs what keeps a processor busy, beside the control thread itself.
    pub fn work(&self, work: Box<dyn FnOnce() + Send>) {
        if !self.is_lost() {
            self.runtime.spawn_blocking(work);
        }
    }

    /// Runs `work` with the runtime as tokio's current one.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        let _inside = self.runtime.enter();
        work()
    }

    /// The addresses of a host, looked up here so that no event loop waits for DNS.
    pub fn lookup(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = std::io::Result<Vec<SocketAddr>>> + Send + use<> {
        let host = host.to_owned();
        let (answer, found) = futures_channel::oneshot::channel();
        self.spawn(async move {
            let addresses = tokio::net::lookup_host((host, port)).await;
            let _ = answer.send(addresses.map(Iterator::collect));
        });
        async move {
            let stopped = || std::io::Error::other("the client was closed");
            crate::net::wait::gate(found).await.map_err(|_| stopped())?
        }
    }

    fn start() -> std::io::Result<ControlThread> {
        signal_pipe::repair()?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(4)
            .on_thread_start(signals::block)
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread =
            std::thread::Builder::new().name("ferromongo".to_owned()).spawn(move || {
                signals::block();
                let _ = runtime.block_on(stopped);
                // A name look-up cannot be cancelled; it is left behind.
                runtime.shutdown_timeout(STOP_WITHIN);
            })?;
        let born_in = fork::generation();
        let (end, _) = pipe_with(PipeFlags::CLOEXEC)?;
        let inode = fstat(&end)?.st_ino;
        Ok(ControlThread {
            runtime: handle,
            stop: Some(stop),
            thread: Some(thread),
            born_in,
            sentinel: Some((Descriptor::new(end), inode)),
            repairs: signal_pipe::repairs(),
        })
    }
}

impl Drop for ControlThread {
    fn drop(&mut self) {
        if self.born_in != fork::generation() || self.is_lost() {
            // The parent's thread and epoll: dropping our handles could disturb its sockets. Or the
            // thread waits for ever at what was closed.
            std::mem::forget((self.stop.take(), self.thread.take(), self.runtime.clone()));
            std::mem::forget(self.sentinel.take());
            return;
        }
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// Where the running thread is found.
static RUNNING: LazyLock<PerProcess<Mutex<Weak<ControlThread>>>> =
    LazyLock::new(PerProcess::default);

/// Makes what a process has once, so that no fork finds another thread in the middle of making it.
pub fn prepare() {
    fork::watch();
    signal_pipe::prepare();
    LazyLock::force(&RUNNING);
}

const STOP_WITHIN: Duration = Duration::from_millis(100);
