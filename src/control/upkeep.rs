//! The pools' background work: minPoolSize, maxIdleTimeMS, sockets that the server has closed, and the
//! pools of event loops that have gone.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::driver;
use crate::event::Publisher;
use crate::net::lane::Lane;
use crate::pool::server::Server;
use crate::pool::state::Phase;

/// Runs until `servers` has no more to say: all servers. `first_lane` is the event loop whose pools hold
/// minPoolSize even if nobody has asked for them yet (`None` are blocking callers).
pub async fn run(
    servers: impl Fn() -> Option<Vec<Arc<Server>>>,
    first_lane: Option<Weak<Lane>>,
    now: Arc<Notify>,
    interval: Duration,
    events: Publisher,
) {
    while let Some(servers) = servers() {
        servers.iter().for_each(|server| look_after(server, first_lane.as_ref()));
        drop(servers); // not kept alive by waiting
        let _ = tokio::time::timeout(interval, now.notified()).await;
        driver::run_on_tokio(events.room()).await;
    }
}

fn look_after(server: &Arc<Server>, first_lane: Option<&Weak<Lane>>) {
    server.forget_retired();
    let mut pools = server.pools();
    pools.iter().for_each(|pool| pool.prune());
    if server.settings.min_pool_size == 0 || server.phase() != Phase::Ready {
        return;
    }
    if pools.is_empty() {
        pools.extend(match first_lane.map(Weak::upgrade) {
            None => Some(server.pool(None)),
            Some(lane) => {
                lane.filter(|lane| !lane.is_retired()).map(|lane| server.pool(Some(&lane)))
            }
        });
    }
    for pool in pools {
        // One server that is slow to answer must not hold up the others. The end of a pool, or a clear
        // that interrupts, ends this too; a failure has been reported and is tried again next time.
        tokio::spawn(async { drop(driver::run_on_tokio(pool.fill()).await) });
    }
}
