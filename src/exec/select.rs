//! Server selection: look at the snapshot, and wait for a better one while nothing suits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::control::cluster::Cluster;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::net::wait;
use crate::pool::server::Server;
use crate::topology::address::Address;
use crate::topology::selection::{self, Criteria, SelectionError};
use crate::topology::summary;

pub async fn select(
    cluster: &Arc<Cluster>,
    criteria: &Criteria,
    deprioritized: &[Address],
) -> Result<Arc<Server>> {
    if let Some(server) = now(cluster, criteria, deprioritized)? {
        return Ok(server);
    }
    let timeout = cluster.settings.server_selection_timeout;
    let deadline = Deadline::after(Instant::now(), timeout);
    loop {
        let change = cluster.listen();
        if cluster.is_closed() {
            return Err(Error::client_closed());
        }
        if let Some(server) = now(cluster, criteria, deprioritized)? {
            return Ok(server);
        }
        let started = Instant::now();
        if deadline.passed(started) {
            return Err(timed_out(cluster, criteria, timeout.unwrap_or_default()));
        }
        cluster.probe_unknown();
        let pause = Deadline::after(started, Some(PROBE_AGAIN)).earlier(deadline);
        wait::until(pause, wait::gate(change)).await;
    }
}

/// A server that suits now: of two drawn at random, the one with fewer operations under way.
fn now(
    cluster: &Cluster,
    criteria: &Criteria,
    deprioritized: &[Address],
) -> Result<Option<Arc<Server>>> {
    let snapshot = cluster.snapshot();
    let suitable = selection::suitable(&snapshot, criteria, deprioritized).map_err(refused)?;
    let suitable = match &cluster.settings.server_selector {
        None => suitable,
        Some(selector) => selector.choose(&snapshot, suitable)?,
    };
    let near = selection::in_latency_window(suitable, cluster.settings.local_threshold);
    let operations = |address: &Address| {
        cluster.server(address).map_or(0, |server| server.operations.load(Ordering::Relaxed))
    };
    let picked = selection::pick(&near, operations, &mut |below| fastrand::usize(..below));
    Ok(picked.and_then(|picked| cluster.server(&picked.address)))
}

fn refused(error: SelectionError) -> Error {
    Error::new(Kind::Configuration, error.to_string())
}

fn timed_out(cluster: &Cluster, criteria: &Criteria, timeout: Duration) -> Error {
    let snapshot = cluster.snapshot();
    let text = format!(
        "{}, Timeout: {}s, Topology Description: {}",
        summary::reason(&snapshot, criteria),
        timeout.as_secs_f64(),
        summary::summary(&snapshot),
    );
    Error::new(Kind::ServerSelection, text)
}

/// Unknown servers are asked again this often while somebody waits for one.
const PROBE_AGAIN: Duration = Duration::from_millis(500);
