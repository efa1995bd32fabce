//! Events of a deployment's life (discovery and monitoring specification), as the difference of two
//! snapshots. Decides, never acts.

use std::sync::Arc;

use bson::oid::ObjectId;

use crate::topology::address::Address;
use crate::topology::server::ServerDescription;
use crate::topology::snapshot::Snapshot;

#[derive(Clone, Debug)]
pub struct TopologyEvent {
    /// The topology's.
    pub id: ObjectId,
    pub what: TopologyChange,
}

#[derive(Clone, Debug)]
pub enum TopologyChange {
    Opened,
    Changed { old: Arc<Snapshot>, new: Arc<Snapshot> },
    Closed,
    ServerOpened(Address),
    ServerChanged { old: Box<ServerDescription>, new: Box<ServerDescription> },
    ServerClosed(Address),
}

impl TopologyChange {
    pub fn is_of_a_server(&self) -> bool {
        use TopologyChange::*;
        matches!(self, ServerOpened(_) | ServerChanged { .. } | ServerClosed(_))
    }
}

/// Begins with all seeds Unknown; of a load balancer the first snapshot claims more, so it follows.
pub fn opened(first: &Arc<Snapshot>) -> Vec<TopologyChange> {
    let mut seeds = Snapshot::clone(first);
    for server in seeds.servers.values_mut() {
        *server = ServerDescription::unknown(server.address.clone());
    }
    let seeds = Arc::new(seeds);
    let nothing = Arc::new(Snapshot::empty(first.settings.clone()));
    let mut changes =
        vec![TopologyChange::Opened, TopologyChange::Changed { old: nothing, new: seeds.clone() }];
    changes.extend(seeds.servers.keys().cloned().map(TopologyChange::ServerOpened));
    changes.extend(changed(&seeds, first));
    changes
}

/// Nothing if the two tell the same.
pub fn changed(old: &Arc<Snapshot>, new: &Arc<Snapshot>) -> Vec<TopologyChange> {
    let mut changes = Vec::new();
    for (address, server) in &old.servers {
        if let Some(now) = new.server(address)
            && !server.same_as(now)
        {
            let (old, new) = (Box::new(server.clone()), Box::new(now.clone()));
            changes.push(TopologyChange::ServerChanged { old, new });
        }
    }
    let gone = old.servers.keys().filter(|address| new.server(address).is_none());
    changes.extend(gone.cloned().map(TopologyChange::ServerClosed));
    let found = new.servers.keys().filter(|address| old.server(address).is_none());
    changes.extend(found.cloned().map(TopologyChange::ServerOpened));
    if !changes.is_empty() || old.kind != new.kind {
        changes.push(TopologyChange::Changed { old: old.clone(), new: new.clone() });
    }
    changes
}

pub fn closed(last: &Arc<Snapshot>) -> Vec<TopologyChange> {
    let mut changes: Vec<_> =
        last.servers.keys().cloned().map(TopologyChange::ServerClosed).collect();
    let nothing = Arc::new(Snapshot::empty(last.settings.clone()));
    changes.push(TopologyChange::Changed { old: last.clone(), new: nothing });
    changes.push(TopologyChange::Closed);
    changes
}
