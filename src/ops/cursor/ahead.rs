//! A getMore that is sent before its batch is needed: the server works on it while the caller still reads the
//! batch before. It is polled only when the caller comes back, and whoever drops it closes its connection.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::deadline::TimeLimit;
use crate::error::{Error, Result};
use crate::exec::client::ClientCore;
use crate::exec::operation::{Operation, Outcome};
use crate::exec::run::run;
use crate::net::fork::OfProcess;
use crate::net::wait;

pub struct Ahead {
    work: OfProcess<Pin<Box<dyn Future<Output = Result<Outcome>> + Send>>>,
    outcome: Option<Result<Outcome>>,
    pub limit: TimeLimit,
    /// Its connection lives there.
    lane: Option<u64>,
}

impl Ahead {
    /// To be made in a poll, of the driver that will also poll it on.
    pub fn new(core: Arc<ClientCore>, mut operation: Operation) -> Ahead {
        let limit = operation.terms.limit;
        let work = Box::pin(async move { run(&core, &mut operation).await });
        Ahead { work: OfProcess::new(work), outcome: None, limit, lane: lane() }
    }

    /// Sends the command, or takes in what has come of the answer.
    pub fn advance(&mut self, context: &mut Context<'_>) {
        if self.outcome.is_none()
            && !self.is_strange()
            && let Poll::Ready(outcome) = self.work.as_mut().poll(context)
        {
            self.outcome = Some(outcome);
        }
    }

    pub async fn outcome(mut self) -> Result<Outcome> {
        poll_fn(|context| {
            if self.is_strange() {
                return Poll::Ready(Err(Error::invalid_operation(ELSEWHERE)));
            }
            self.advance(context);
            self.outcome.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Begun by the process that this one was forked from, or on another event loop.
    fn is_strange(&self) -> bool {
        self.work.is_inherited() || self.lane != lane()
    }
}

fn lane() -> Option<u64> {
    wait::current_lane().map(|lane| lane.id)
}

const ELSEWHERE: &str = "this cursor has asked for its next documents in another process or on another event \
                         loop, which are lost with it: send the query again";
