//! The pools' background work: minPoolSize, maxIdleTimeMS, sockets that the server has closed, and the
//! pools of event loops that have gone.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::driver;
use crate::net::event_loop::Lane;
use crate::pool::server::Server;
use crate::pool::state::Phase;

/// Runs until `servers` has no more to say: all servers, and the event loop whose pools hold minPoolSize
/// even if nobody has asked for them yet (`None` are blocking callers).
pub async fn run(
    servers: impl Fn() -> Option<(Vec<Arc<Server>>, Option<Arc<Lane>>)>,
    now: Arc<Notify>,
    interval: Duration,
) {
    while let Some((servers, lane)) = servers() {
        servers.iter().for_each(|server| look_after(server, lane.as_ref()));
        drop((servers, lane)); // not kept alive by waiting
        let _ = tokio::time::timeout(interval, now.notified()).await;
    }
}

fn look_after(server: &Arc<Server>, lane: Option<&Arc<Lane>>) {
    server.forget_retired();
    let mut pools = server.pools();
    pools.iter().for_each(|pool| pool.prune());
    if server.settings.min_pool_size == 0 || server.phase() != Phase::Ready {
        return;
    }
    if pools.is_empty() {
        pools.push(server.pool(lane.filter(|lane| !lane.is_retired())));
    }
    for pool in pools {
        // One server that is slow to answer must not hold up the others. The end of a pool, or a clear
        // that interrupts, ends this too; a failure has been reported and is tried again next time.
        tokio::spawn(async { drop(driver::drive(pool.fill()).await) });
    }
}
