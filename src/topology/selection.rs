//! Server selection over one snapshot: who is suitable, who is near enough, and who of them gets the work.

use std::sync::Arc;
use std::time::Duration;

use super::address::Address;
use super::read_preference::{ReadMode, ReadPreference, TagSet};
use super::server::{ServerDescription, ServerType};
use super::snapshot::{Snapshot, TopologyKind};
use super::staleness;

#[derive(Clone, Debug)]
pub enum Criteria {
    Writable,
    Read(Arc<ReadPreference>),
    /// Of an aggregate that writes its result: the servers decide whether the preference counts.
    Output(Arc<ReadPreference>),
}

/// Waiting will not help: the user must change something (PyMongo's ConfigurationError).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// Some server speaks no wire version that we speak.
    #[error("{0}")]
    Incompatible(String),
    #[error("{0}")]
    InvalidMaxStaleness(String),
    #[error("read preference primary takes neither tags nor maxStalenessSeconds")]
    PrimaryWithOptions,
}

/// Every server that may run the operation; none means "wait for news". The deprioritized (a retry's
/// failed servers) count only when nobody else is suitable.
pub fn suitable<'a>(
    snapshot: &'a Snapshot,
    criteria: &Criteria,
    deprioritized: &[Address],
) -> Result<Vec<&'a ServerDescription>, SelectionError> {
    if let Some(why) = &snapshot.compatibility_error {
        return Err(SelectionError::Incompatible(why.clone()));
    }
    let effective;
    let criteria = match criteria {
        Criteria::Output(preference) => {
            effective = Criteria::Read(Arc::new(preference.with_output_stage(snapshot)));
            &effective
        }
        other => other,
    };
    if let Criteria::Read(preference) = criteria {
        check(snapshot, preference)?;
    }
    let known: Vec<&ServerDescription> = snapshot.known_servers().collect();
    if !deprioritized.is_empty() {
        let preferred =
            known.iter().copied().filter(|server| !deprioritized.contains(&server.address));
        let found = matching(snapshot, criteria, preferred.collect());
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(matching(snapshot, criteria, known))
}

/// Those whose average round trip is within `local_threshold` of the fastest. A server without a
/// measurement (load balancers are not measured) is not held to it.
pub fn in_latency_window(
    candidates: Vec<&ServerDescription>,
    local_threshold: Duration,
) -> Vec<&ServerDescription> {
    let Some(fastest) = candidates.iter().filter_map(|server| server.round_trip_time).min() else {
        return candidates;
    };
    let limit = fastest.saturating_add(local_threshold);
    let near =
        |server: &&ServerDescription| server.round_trip_time.is_none_or(|time| time <= limit);
    candidates.into_iter().filter(near).collect()
}

/// The less busy of two candidates drawn at random: load spreads, and one slow server does not draw a
/// herd. `random(n)` answers a number below n.
pub fn pick<'a>(
    candidates: &[&'a ServerDescription],
    operation_count: impl Fn(&Address) -> usize,
    random: &mut impl FnMut(usize) -> usize,
) -> Option<&'a ServerDescription> {
    let first = match candidates {
        [] => return None,
        [only] => return Some(only),
        several => random(several.len()),
    };
    let mut second = random(candidates.len() - 1);
    if second >= first {
        second += 1;
    }
    let (first, second) = (candidates[first], candidates[second]);
    let first_is_busier = operation_count(&first.address) > operation_count(&second.address);
    Some(if first_is_busier { second } else { first })
}

/// Options that no server could ever meet are refused at once, where they have a meaning at all.
fn check(snapshot: &Snapshot, preference: &ReadPreference) -> Result<(), SelectionError> {
    let tagged = preference.tag_sets.iter().any(|tags| !tags.is_empty());
    match preference.max_staleness {
        _ if preference.mode == ReadMode::Primary
            && (tagged || preference.max_staleness.is_some()) =>
        {
            Err(SelectionError::PrimaryWithOptions)
        }
        Some(max_staleness) if snapshot.kind.is_replica_set() => {
            let refusal = staleness::refusal(max_staleness, snapshot.settings.heartbeat_frequency);
            refusal.map_or(Ok(()), |why| Err(SelectionError::InvalidMaxStaleness(why)))
        }
        _ => Ok(()),
    }
}

fn matching<'a>(
    snapshot: &Snapshot,
    criteria: &Criteria,
    candidates: Vec<&'a ServerDescription>,
) -> Vec<&'a ServerDescription> {
    let of_kind = |kind: ServerType| {
        candidates.iter().copied().filter(|server| server.kind == kind).collect::<Vec<_>>()
    };
    match snapshot.kind {
        TopologyKind::Unknown => Vec::new(),
        // There is no choice: the server itself says what it can't do.
        TopologyKind::Single | TopologyKind::LoadBalanced => candidates,
        TopologyKind::Sharded => of_kind(ServerType::Mongos),
        TopologyKind::ReplicaSetNoPrimary | TopologyKind::ReplicaSetWithPrimary => {
            let primary = || of_kind(ServerType::RSPrimary);
            let Criteria::Read(preference) = criteria else {
                return primary();
            };
            let eligible =
                |servers| with_tags(fresh(snapshot, servers, preference), &preference.tag_sets);
            let secondaries = || eligible(of_kind(ServerType::RSSecondary));
            match preference.mode {
                ReadMode::Primary => primary(),
                ReadMode::PrimaryPreferred => or_else(primary(), secondaries),
                ReadMode::Secondary => secondaries(),
                ReadMode::SecondaryPreferred => or_else(secondaries(), primary),
                ReadMode::Nearest => {
                    let mut members = primary();
                    members.extend(of_kind(ServerType::RSSecondary));
                    eligible(members)
                }
            }
        }
    }
}

fn or_else<T>(found: Vec<T>, otherwise: impl FnOnce() -> Vec<T>) -> Vec<T> {
    if found.is_empty() { otherwise() } else { found }
}

fn fresh<'a>(
    snapshot: &Snapshot,
    mut servers: Vec<&'a ServerDescription>,
    preference: &ReadPreference,
) -> Vec<&'a ServerDescription> {
    if let Some(max_staleness) = preference.max_staleness {
        servers.retain(|server| staleness::is_fresh(snapshot, server, max_staleness));
    }
    servers
}

/// The servers that meet the first tag set which anyone meets.
fn with_tags<'a>(
    servers: Vec<&'a ServerDescription>,
    tag_sets: &[TagSet],
) -> Vec<&'a ServerDescription> {
    if tag_sets.is_empty() {
        return servers;
    }
    let meets = |server: &&ServerDescription, tags: &TagSet| {
        tags.iter().all(|(name, value)| server.tags.get(name) == Some(value))
    };
    tag_sets
        .iter()
        .map(|tags| {
            servers.iter().copied().filter(|server| meets(server, tags)).collect::<Vec<_>>()
        })
        .find(|met| !met.is_empty())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bson::oid::ObjectId;

    use super::*;
    use crate::topology::snapshot::TopologySettings;

    #[test]
    fn an_output_stage_stays_with_the_primary_until_every_server_is_5_0() {
        let (primary, secondary) =
            (Address::tcp("a", 27017).unwrap(), Address::tcp("b", 27017).unwrap());
        let mut set = Snapshot::new(Arc::new(TopologySettings {
            id: ObjectId::new(),
            seeds: vec![primary.clone(), secondary.clone()],
            replica_set: Some("rs".to_owned()),
            direct_connection: false,
            load_balanced: false,
            heartbeat_frequency: Duration::from_secs(10),
        }));
        set.kind = TopologyKind::ReplicaSetWithPrimary;
        set.servers.get_mut(&primary).unwrap().kind = ServerType::RSPrimary;
        set.servers.get_mut(&secondary).unwrap().kind = ServerType::RSSecondary;
        let criteria = Criteria::Output(Arc::new(ReadPreference::new(ReadMode::Secondary)));
        for (newest, expected) in [([12, 13], &primary), ([13, 13], &secondary)] {
            for (server, version) in set.servers.values_mut().zip(newest) {
                server.max_wire_version = version;
            }
            let found = suitable(&set, &criteria, &[]).unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!(&found[0].address, expected);
        }
    }
}
