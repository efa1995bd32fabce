//! What the operations of one client share. Monitoring starts with the first of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use bson::{RawDocument, RawDocumentBuf};

use super::seed_lookup::{SeedLookup, Start};
use crate::control::cluster::Cluster;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::entry::Deployment;
use crate::net::buffers::Buffers;
use crate::net::fork::OfProcess;
use crate::net::wait;
use crate::session::cluster_time::ClusterTime;
use crate::session::server::ServerSessions;
use crate::settings::Settings;
use crate::stack;
use crate::sync::Mutex;
use crate::topology::address::Address;
use crate::topology::server::ServerDescription;

pub struct ClientCore {
    /// Of a client that looks up its servers, these are the settings before; see the cluster's.
    pub settings: Arc<Settings>,
    seed_lookup: OfProcess<Option<Arc<SeedLookup>>>,
    pub sessions: Arc<ServerSessions>,
    cluster: OfProcess<OnceLock<Arc<Cluster>>>,
    /// Held while the cluster is being opened or closed.
    opening: Mutex<()>,
    /// Heard from every reply to an operation, and from the handshakes of its connections.
    cluster_time: Arc<Mutex<Option<ClusterTime>>>,
    /// Of the server where the latest transaction of the log was begun.
    deployment: ArcSwapOption<(Arc<ServerDescription>, Arc<Deployment>)>,
    closed: AtomicBool,
    /// Of large messages that were sent.
    pub sent_buffers: Arc<Buffers>,
}

impl ClientCore {
    /// `look_up`: how the servers are found if the settings do not name them.
    pub fn new(settings: Arc<Settings>, look_up: Option<Start>) -> Arc<ClientCore> {
        Arc::new(ClientCore {
            seed_lookup: OfProcess::new(
                look_up.map(|start| SeedLookup::new(settings.clone(), start)),
            ),
            settings,
            sessions: Arc::default(),
            cluster: OfProcess::new(OnceLock::new()),
            opening: Mutex::default(),
            cluster_time: Arc::default(),
            deployment: ArcSwapOption::empty(),
            closed: AtomicBool::new(false),
            sent_buffers: Arc::default(),
        })
    }

    /// The living topology; whoever asks first starts it. `limit` is for the look-up of the servers.
    pub async fn cluster(&self, limit: Deadline) -> Result<&Arc<Cluster>> {
        if self.cluster.is_inherited() {
            return Err(Error::forked()); // asked for before the fork, or in the middle of an operation
        }
        if self.is_closed() {
            return Err(Error::client_closed(&self.settings.client_class));
        }
        if let Some(cluster) = self.cluster.get() {
            return Ok(cluster);
        }
        match &*self.seed_lookup {
            None => self.open(&self.settings),
            Some(lookup) => {
                let found = wait::until(limit, Box::pin(lookup.settings())).await;
                let late =
                    || Error::new(ErrorKind::ServerSelection, "timed out looking up the servers");
                self.open(&found.ok_or_else(late)??)
            }
        }
    }

    /// What the log notes of a transaction that begins at this server: it is mostly the same one.
    pub fn deployment(&self, server: &Arc<ServerDescription>) -> Arc<Deployment> {
        let latest = self.deployment.load();
        if let Some((known, deployment)) = latest.as_deref()
            && (&known.set_name, &known.hosts) == (&server.set_name, &server.hosts)
        {
            return deployment.clone();
        }
        let user = self.settings.credentials.as_ref();
        let deployment = Arc::new(Deployment {
            set_name: server.set_name.clone(),
            hosts: server.hosts.iter().map(Address::to_string).collect(),
            user: user.map(|it| format!("{}.{}", it.source, it.user())),
        });
        self.deployment.store(Some(Arc::new((server.clone(), deployment.clone()))));
        deployment
    }

    fn open(&self, settings: &Arc<Settings>) -> Result<&Arc<Cluster>> {
        let _opening = self.opening.lock();
        if self.is_closed() {
            return Err(Error::client_closed(&self.settings.client_class));
        }
        if self.cluster.get().is_none() {
            if stack::left() < LEAST_STACK {
                let text = "connecting needs a thread with a stack of at least 64 KiB";
                return Err(Error::new(ErrorKind::Configuration, text));
            }
            let known = self.cluster_time.clone();
            let gossip = move |heard: &RawDocument| ClusterTime::advance(&mut known.lock(), heard);
            let _ = self.cluster.set(Cluster::open(settings.clone(), Box::new(gossip))?);
        }
        Ok(self.cluster.get().expect("opened above"))
    }

    /// The cluster if an operation has opened it.
    pub fn opened(&self) -> Option<&Arc<Cluster>> {
        self.cluster.get().filter(|_| !self.cluster.is_inherited())
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Refuses new operations; connections in use are closed as they come back.
    pub fn close(&self) {
        if self.cluster.is_inherited() {
            return;
        }
        let _opening = self.opening.lock();
        self.closed.store(true, Ordering::SeqCst);
        if let Some(cluster) = self.cluster.get() {
            cluster.close();
        }
        if let Some(lookup) = &*self.seed_lookup {
            lookup.abandon();
        }
    }

    pub fn hear_cluster_time(&self, heard: &RawDocument) {
        ClusterTime::advance(&mut self.cluster_time.lock(), heard);
    }

    /// Calls `tell` with the later of the client's and the given time.
    pub fn with_cluster_time(&self, other: Option<&ClusterTime>, tell: impl FnOnce(&RawDocument)) {
        let own = self.cluster_time.lock();
        if let Some(later) = ClusterTime::later(own.as_ref(), other) {
            tell(later.document());
        }
    }

    pub fn cluster_time(&self) -> Option<RawDocumentBuf> {
        self.cluster_time.lock().as_ref().map(|time| time.document().to_owned())
    }
}

/// Monitors and a first probe are started on the caller's stack.
const LEAST_STACK: usize = 44 * 1024;
