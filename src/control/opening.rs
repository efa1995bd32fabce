//! A cluster is made: how its connections are dialled, what watches its servers, and what looks after their pools.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::cluster::Cluster;
use super::polling;
use super::thread::ControlThread;
use super::upkeep;
use crate::error::Result;
use crate::event;
use crate::net::buffers::Buffers;
use crate::net::wait;
use crate::pool::authenticate::Authenticator;
use crate::pool::handshake::{Dialer, Gossip, Tls};
use crate::settings::Settings;

impl Cluster {
    /// Starts monitoring.
    pub fn open(settings: Arc<Settings>, gossip: Gossip) -> Result<Arc<Cluster>> {
        let thread = ControlThread::shared()?;
        let cluster = Arc::new_cyclic(move |itself: &Weak<Cluster>| {
            let dialer = Arc::new(dialer(&settings, gossip, &thread, itself));
            Cluster::new(settings, dialer, thread)
        });
        let first = cluster.snapshot().clone();
        cluster.settings.events.topology(first.settings.id, || event::topology::opened(&first));
        cluster.match_servers(&first);
        cluster.ready_pools(&first);
        let seeds = cluster.settings.seeds.clone();
        let monitors = cluster.monitors_of(seeds)?;
        *cluster.monitors.lock() = monitors;
        if cluster.polls {
            let polling =
                polling::run(Arc::downgrade(&cluster), cluster.settings.heartbeat_frequency);
            *cluster.polling.lock() = cluster.spawn(polling);
        }
        cluster.start_upkeep();
        Ok(cluster)
    }

    fn start_upkeep(self: &Arc<Self>) {
        let (cluster, now) = (Arc::downgrade(self), self.upkeep_now.clone());
        // Where the client was first used: whose pools hold minPoolSize before they are first asked.
        let first_lane = wait::current_lane().as_ref().map(Arc::downgrade);
        let servers = move || Some(cluster.upgrade()?.servers.lock().values().cloned().collect());
        let events = self.settings.events.clone();
        let upkeep = upkeep::run(servers, first_lane, now, UPKEEP_INTERVAL, events);
        *self.upkeep.lock() = self.spawn(upkeep);
    }
}

/// It must keep neither the thread nor the cluster alive.
fn dialer(
    settings: &Settings,
    gossip: Gossip,
    thread: &Arc<ControlThread>,
    cluster: &Weak<Cluster>,
) -> Dialer {
    let (lookup_thread, observer) = (Arc::downgrade(thread), cluster.clone());
    let (work_thread, reporter) = (lookup_thread.clone(), cluster.clone());
    let authenticator = settings.credentials.clone().map(|credentials| {
        let work_elsewhere = move |work| {
            if let Some(thread) = work_thread.upgrade() {
                thread.work(work);
            }
        };
        Authenticator::new(credentials, settings.events.clone(), Box::new(work_elsewhere))
    });
    Dialer {
        metadata: settings.metadata.clone(),
        server_api: settings.server_api.clone(),
        compression: settings.compression.clone(),
        buffers: Arc::new(Buffers::default()),
        lookup: Box::new(move |host, port| match lookup_thread.upgrade() {
            Some(thread) => Box::pin(thread.lookup(host, port)),
            None => Box::pin(std::future::ready(Err(std::io::Error::other("closed")))),
        }),
        observe: Box::new(move |description| {
            if let Some(cluster) = observer.upgrade() {
                cluster.observe_handshake(description);
            }
        }),
        failed: Box::new(move |server, failure| {
            if let Some(cluster) = reporter.upgrade() {
                cluster.report(server, failure.generation, &failure.error);
            }
        }),
        load_balanced: settings.load_balanced,
        gossip,
        authenticator,
        tls: settings
            .tls
            .as_ref()
            .map(|tls| Tls { config: tls.client_config(), verifies_names: tls.verifies_names() }),
    }
}

const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);
