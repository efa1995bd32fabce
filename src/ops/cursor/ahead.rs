//! A getMore that is sent before its batch is needed: the server works on it while the caller still reads the
//! batch before. It is polled only when the caller comes back, and whoever drops it closes its connection.
//!
//! So it takes only a connection that is idle and that no operation waits for. Without one it is not sent, and the
//! call that wants its batch sends it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::deadline::{self, TimeLimit};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::client::ClientCore;
use crate::exec::operation::{Operation, Outcome};
use crate::exec::run::run;
use crate::net::fork::OfProcess;
use crate::net::wait;

pub struct Ahead {
    work: OfProcess<Pin<Box<dyn Future<Output = Came> + Send>>>,
    came: Option<Came>,
    /// Its connection lives there.
    lane: Option<u64>,
}

type Came = (Operation, Result<Outcome>);

impl Ahead {
    /// To be made in a poll, of the driver that will also poll it on.
    pub fn new(core: Arc<ClientCore>, mut operation: Operation) -> Ahead {
        operation.terms.ahead = true;
        let work = Box::pin(async move {
            let outcome = run(&core, &mut operation).await;
            (operation, outcome)
        });
        Ahead { work: OfProcess::new(work), came: None, lane: lane() }
    }

    /// Sends the command, or takes in what has come of the answer.
    pub fn advance(&mut self, context: &mut Context<'_>) {
        if self.came.is_none()
            && !self.is_strange()
            && let Poll::Ready(came) = self.work.as_mut().poll(context)
        {
            self.came = Some(came);
        }
    }

    /// No connection could be spared for it.
    pub fn is_unsent(&self) -> bool {
        self.came.as_ref().is_some_and(is_unsent)
    }

    /// For a call with this limit.
    pub async fn outcome(mut self, core: &ClientCore, limit: TimeLimit) -> Result<Outcome> {
        let coming = poll_fn(|context| {
            self.advance(context);
            self.came.take().map_or(Poll::Pending, Poll::Ready)
        });
        let Some(came) = wait::until(limit.deadline(), coming).await else {
            let settings = &core.settings;
            let timed_out = Error::new(ErrorKind::NetworkTimeout, "timed out");
            return Err(timed_out.with_timeouts(|| {
                deadline::configured(settings.socket_timeout, settings.connect_timeout, limit)
            }));
        };
        if !is_unsent(&came) {
            return came.1;
        }
        let (mut operation, _) = came;
        (operation.terms.ahead, operation.terms.limit) = (false, limit);
        run(core, &mut operation).await
    }

    /// Begun by the process that this one was forked from, or on another event loop: what comes of it is lost.
    pub fn is_strange(&self) -> bool {
        self.work.is_inherited() || self.lane != lane()
    }
}

fn is_unsent((_, outcome): &Came) -> bool {
    outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::WaitQueueTimeout)
}

fn lane() -> Option<u64> {
    wait::current_lane().map(|lane| lane.id)
}
