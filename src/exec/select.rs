//! Server selection: look at the snapshot, and wait for a better one while nothing suits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::control::cluster::Cluster;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::event::selection::{Asker, Selecting, SelectionChange};
use crate::net::wait;
use crate::pool::server::Server;
use crate::settings::Selector;
use crate::topology::address::Address;
use crate::topology::read_preference::{ReadMode, ReadPreference};
use crate::topology::selection::{self, Criteria, SelectionError};
use crate::topology::server::ServerDescription;
use crate::topology::snapshot::TopologyKind;
use crate::topology::summary;

pub async fn select(
    cluster: &Arc<Cluster>,
    criteria: &Criteria,
    deprioritized: &[Address],
    limit: Deadline,
    asker: Option<Asker<'_>>,
) -> Result<Arc<Server>> {
    let told = told(cluster, Some(criteria), asker);
    wait_for(cluster, criteria, limit, told, Wanted::Suitable { criteria, deprioritized }).await
}

/// The server at `address`, as soon as something is known of it.
pub async fn select_address(
    cluster: &Arc<Cluster>,
    address: &Address,
    limit: Deadline,
    asker: Option<Asker<'_>>,
) -> Result<Arc<Server>> {
    let any = Criteria::Read(Arc::new(ReadPreference::new(ReadMode::Nearest)));
    wait_for(cluster, &any, limit, told(cluster, None, asker), Wanted::At(address)).await
}

enum Wanted<'a> {
    Suitable { criteria: &'a Criteria, deprioritized: &'a [Address] },
    At(&'a Address),
}

impl Wanted<'_> {
    async fn look(&self, cluster: &Arc<Cluster>) -> Result<Option<Arc<Server>>> {
        match self {
            Wanted::Suitable { criteria, deprioritized } => {
                select_now(cluster, criteria, deprioritized).await
            }
            Wanted::At(address) => match cluster.snapshot().server(address) {
                Some(server) if server.kind.is_known() => Ok(cluster.server(address)),
                Some(_) => Ok(None),
                None => {
                    let text = format!("{address} is no longer part of the deployment");
                    Err(Error::new(ErrorKind::Network, text))
                }
            },
        }
    }
}

/// Waits until the one that is wanted is found, or the time of server selection is up.
async fn wait_for(
    cluster: &Arc<Cluster>,
    criteria: &Criteria,
    limit: Deadline,
    told: Option<Selecting>,
    wanted: Wanted<'_>,
) -> Result<Arc<Server>> {
    let tell = |what: &dyn Fn() -> SelectionChange| {
        if let Some(told) = &told {
            told.tell(&cluster.snapshot(), what());
        }
    };
    let found = |server: Arc<Server>| {
        tell(&|| SelectionChange::Succeeded { address: server.address.clone() });
        Ok(server)
    };
    if let Some(server) = wanted.look(cluster).await? {
        return found(server);
    }
    let began = Instant::now();
    let own = Deadline::after(began, cluster.settings.server_selection_timeout);
    let deadline = own.earlier(limit);
    tell(&|| SelectionChange::Waiting { remaining: deadline.remaining(began).unwrap_or_default() });
    loop {
        let change = cluster.listen();
        if cluster.is_closed() {
            return Err(Error::client_closed(&cluster.settings.client_class));
        }
        if cluster.is_lost() {
            return Err(Error::new(
                ErrorKind::Network,
                "the process has closed the driver's descriptors",
            ));
        }
        if let Some(server) = wanted.look(cluster).await? {
            return found(server);
        }
        let started = Instant::now();
        if deadline.passed(started) {
            let timeout = deadline.remaining(began).unwrap_or_default();
            let reason = || summary::reason(&cluster.snapshot(), criteria);
            tell(&|| SelectionChange::Failed { reason: reason() });
            return Err(timed_out(cluster, criteria, timeout));
        }
        cluster.probe_unknown();
        let pause = Deadline::after(started, Some(PROBE_AGAIN)).earlier(deadline);
        wait::until(pause, wait::gate(change)).await;
    }
}

/// What tells the logger, if it wants to know.
fn told(
    cluster: &Cluster,
    criteria: Option<&Criteria>,
    asker: Option<Asker<'_>>,
) -> Option<Selecting> {
    let (asker, events) = (asker?, &cluster.settings.events);
    let start = || Selecting::start(events, asker, criteria, &cluster.snapshot());
    events.wants_selections().then(start)
}

/// A server that suits now: of two drawn at random, the one with fewer operations under way.
pub async fn select_now(
    cluster: &Cluster,
    criteria: &Criteria,
    deprioritized: &[Address],
) -> Result<Option<Arc<Server>>> {
    if let Some(selector) = &cluster.settings.server_selector {
        return Box::pin(select_by(selector, cluster, criteria, deprioritized)).await;
    }
    let snapshot = cluster.snapshot();
    let suitable = selection::suitable(&snapshot, criteria, deprioritized).map_err(refused)?;
    Ok(pick(cluster, suitable))
}

/// The same where the user has a say.
async fn select_by(
    selector: &Selector,
    cluster: &Cluster,
    criteria: &Criteria,
    deprioritized: &[Address],
) -> Result<Option<Arc<Server>>> {
    let snapshot = Arc::clone(&cluster.snapshot());
    let suitable = selection::suitable(&snapshot, criteria, deprioritized).map_err(refused)?;
    let is_choice = !matches!(snapshot.kind, TopologyKind::Single | TopologyKind::LoadBalanced);
    if !is_choice || suitable.is_empty() {
        return Ok(pick(cluster, suitable));
    }
    let shown = suitable.into_iter().cloned().collect();
    let candidates = match selector.ask(shown).await.transpose()? {
        Some(chosen) => chosen.iter().filter_map(|address| snapshot.server(address)).collect(),
        None => selection::suitable(&snapshot, criteria, deprioritized).map_err(refused)?,
    };
    Ok(pick(cluster, candidates))
}

fn pick(cluster: &Cluster, candidates: Vec<&ServerDescription>) -> Option<Arc<Server>> {
    let near = selection::in_latency_window(candidates, cluster.settings.local_threshold);
    let operations = |address: &Address| {
        cluster.server(address).map_or(0, |server| server.operations.load(Ordering::Relaxed))
    };
    let picked = selection::pick(&near, operations, &mut |below| fastrand::usize(..below));
    picked.and_then(|picked| cluster.server(&picked.address))
}

fn refused(error: SelectionError) -> Error {
    Error::new(ErrorKind::Configuration, error.to_string())
}

fn timed_out(cluster: &Cluster, criteria: &Criteria, timeout: Duration) -> Error {
    let snapshot = cluster.snapshot();
    let text = format!(
        "{}, Timeout: {}s, Topology Description: {}",
        summary::reason(&snapshot, criteria),
        timeout.as_secs_f64(),
        summary::summary(&snapshot),
    );
    Error::new(ErrorKind::ServerSelection, text)
}

/// Unknown servers are asked again this often while somebody waits for one.
const PROBE_AGAIN: Duration = Duration::from_millis(500);
