//! What an error seen by an operation says about its server: the specification's error handling rules.

use std::time::Instant;

use bson::oid::ObjectId;
use bson::raw::RawDocument;

use super::address::Address;
use super::hello;
use super::reduce;
use super::server::{ServerDescription, TopologyVersion};
use super::snapshot::{Snapshot, TopologyKind};

#[derive(Clone, Debug)]
pub struct ApplicationError {
    pub when: When,
    pub kind: ApplicationErrorKind,
    /// The pool generation of the connection that failed, and the pool's own now.
    pub generation: u64,
    pub current_generation: u64,
    /// The service behind a load balancer that has failed, once a connection knows it.
    pub service_id: Option<ObjectId>,
    /// The error carries the label SystemOverloadedError: the server is busy, not gone.
    pub overloaded: bool,
    /// For people to read; becomes the Unknown server's error.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// While dialling, in the hello exchange or in authentication.
    BeforeHandshake,
    AfterHandshake,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplicationErrorKind {
    /// Any network error but a timeout.
    Network,
    Timeout,
    /// The server answered with an error.
    Command {
        code: Option<i32>,
        topology_version: Option<TopologyVersion>,
    },
}

/// What to do now. The default is nothing.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub new: Option<Snapshot>,
    /// Behind a load balancer this means the connections of the error's service only.
    pub clear_pool: bool,
    /// The server still answers and may have a new role: ask it at once.
    pub check_now: bool,
}

pub fn after_error(
    snapshot: &Snapshot,
    address: &Address,
    error: &ApplicationError,
    now: Instant,
) -> Verdict {
    let load_balanced = snapshot.kind == TopologyKind::LoadBalanced;
    // Before the answer to hello nobody knows which service behind the balancer has failed.
    let nobody_s =
        load_balanced && error.when == When::BeforeHandshake && error.service_id.is_none();
    if nobody_s || is_stale(snapshot, address, error) {
        return Verdict::default();
    }
    let unknown = |topology_version| {
        let server = ServerDescription {
            topology_version,
            not_primary: error.is_state_change(),
            ..ServerDescription::failed(address.clone(), error.message.as_str(), now)
        };
        (!load_balanced).then(|| reduce::apply(snapshot, server))
    };
    match error.kind {
        ApplicationErrorKind::Command { code: Some(code), topology_version }
            if is_state_change(code) =>
        {
            Verdict {
                new: unknown(topology_version),
                clear_pool: is_shutdown(code),
                check_now: true,
            }
        }
        ApplicationErrorKind::Command { topology_version, .. }
            if error.when == When::BeforeHandshake =>
        {
            Verdict { new: unknown(topology_version), clear_pool: true, ..Verdict::default() }
        }
        ApplicationErrorKind::Command { .. } => Verdict::default(),
        // The connection is closed by its user; a slow operation says nothing about the server.
        ApplicationErrorKind::Timeout if error.when == When::AfterHandshake => Verdict::default(),
        ApplicationErrorKind::Network | ApplicationErrorKind::Timeout if error.overloaded => {
            Verdict::default()
        }
        ApplicationErrorKind::Network | ApplicationErrorKind::Timeout => {
            Verdict { new: unknown(None), clear_pool: true, check_now: false }
        }
    }
}

impl ApplicationError {
    fn is_state_change(&self) -> bool {
        matches!(self.kind, ApplicationErrorKind::Command { code: Some(code), .. } if is_state_change(code))
    }
}

impl ApplicationErrorKind {
    /// The error a command's reply carries for these rules: its own or its write concern's; None when
    /// there is none (write errors are about documents, not about the server).
    pub fn from_reply(reply: &RawDocument) -> Option<ApplicationErrorKind> {
        let field = |name| reply.get(name).ok().flatten();
        let ok = field("ok").is_some_and(hello::truth);
        let details = match field("writeConcernError").and_then(|value| value.as_document()) {
            Some(details) if ok => details,
            _ if ok => return None,
            _ => reply,
        };
        let code = details.get("code").ok().flatten().and_then(hello::integer);
        let topology_version =
            reply.get_document("topologyVersion").ok().and_then(hello::topology_version);
        let from_message = || code_from_message(details.get_str("errmsg").ok()?);
        Some(ApplicationErrorKind::Command {
            code: code.and_then(|code| i32::try_from(code).ok()).or_else(from_message),
            topology_version,
        })
    }
}

/// "not primary" and "node is recovering": the server is no longer what it was.
pub fn is_state_change(code: i32) -> bool {
    NOT_PRIMARY_CODES.contains(&code) || RECOVERING_CODES.contains(&code) || is_shutdown(code)
}

fn is_shutdown(code: i32) -> bool {
    SHUTDOWN_CODES.contains(&code)
}

/// Servers without error codes say it in words.
fn code_from_message(message: &str) -> Option<i32> {
    if message.contains("node is recovering") || message.contains("not master or secondary") {
        Some(NOT_PRIMARY_OR_SECONDARY)
    } else if message.contains("not master") {
        Some(LEGACY_NOT_PRIMARY)
    } else {
        None
    }
}

fn is_stale(snapshot: &Snapshot, address: &Address, error: &ApplicationError) -> bool {
    let Some(server) = snapshot.server(address) else {
        return true;
    };
    let told_before = match (&server.topology_version, &error.kind) {
        (Some(known), ApplicationErrorKind::Command { topology_version: Some(new), .. }) => {
            known.includes(new)
        }
        _ => false,
    };
    told_before || error.generation < error.current_generation
}

const LEGACY_NOT_PRIMARY: i32 = 10058;
const NOT_PRIMARY_OR_SECONDARY: i32 = 13436;
/// NotWritablePrimary, NotPrimaryNoSecondaryOk, LegacyNotPrimary.
const NOT_PRIMARY_CODES: [i32; 3] = [10107, 13435, LEGACY_NOT_PRIMARY];
/// InterruptedDueToReplStateChange, NotPrimaryOrSecondary, PrimarySteppedDown.
const RECOVERING_CODES: [i32; 3] = [11602, NOT_PRIMARY_OR_SECONDARY, 189];
/// InterruptedAtShutdown, ShutdownInProgress.
const SHUTDOWN_CODES: [i32; 2] = [11600, 91];

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bson::rawdoc;

    use super::*;
    use crate::topology::snapshot::TopologySettings;

    fn snapshot(load_balanced: bool) -> (Snapshot, Address) {
        let address = Address::tcp("a", 27017).unwrap();
        let settings = TopologySettings {
            id: ObjectId::from_bytes([0; 12]),
            seeds: vec![address.clone()],
            replica_set: None,
            direct_connection: !load_balanced,
            load_balanced,
            heartbeat_frequency: Duration::from_secs(10),
        };
        (Snapshot::new(Arc::new(settings)), address)
    }

    fn verdict(
        load_balanced: bool,
        when: When,
        kind: ApplicationErrorKind,
        overloaded: bool,
    ) -> Verdict {
        let (snapshot, address) = snapshot(load_balanced);
        let error = ApplicationError {
            when,
            kind,
            generation: 0,
            current_generation: 0,
            service_id: None,
            overloaded,
            message: "it broke".to_owned(),
        };
        after_error(&snapshot, &address, &error, Instant::now())
    }

    fn command(code: i32) -> ApplicationErrorKind {
        ApplicationErrorKind::Command { code: Some(code), topology_version: None }
    }

    #[test]
    fn behind_a_load_balancer_only_a_service_s_connections_go() {
        let verdict_of = |when, kind| verdict(true, when, kind, false);
        let cut = verdict_of(When::AfterHandshake, ApplicationErrorKind::Network);
        assert!(cut.new.is_none() && cut.clear_pool);
        let dialling = verdict_of(When::BeforeHandshake, ApplicationErrorKind::Network);
        assert!(dialling.new.is_none() && !dialling.clear_pool);
    }

    #[test]
    fn a_failed_authentication_marks_the_server_and_clears_its_pool() {
        let failed = verdict(false, When::BeforeHandshake, command(18), false);
        let (_, address) = snapshot(false);
        let server = failed.new.unwrap().servers.remove(&address).unwrap();
        assert_eq!(server.error.as_deref(), Some("it broke"));
        assert!(failed.clear_pool && !failed.check_now);
        assert!(verdict(false, When::AfterHandshake, command(18), false).new.is_none());
    }

    #[test]
    fn a_busy_server_is_left_alone() {
        for (overloaded, marked) in [(true, false), (false, true)] {
            let dialling =
                verdict(false, When::BeforeHandshake, ApplicationErrorKind::Timeout, overloaded);
            assert_eq!((dialling.new.is_some(), dialling.clear_pool), (marked, marked));
        }
    }

    #[test]
    fn the_code_is_found_where_servers_put_it() {
        let code = |reply: &RawDocument| match ApplicationErrorKind::from_reply(reply) {
            Some(ApplicationErrorKind::Command { code, .. }) => Some(code),
            _ => None,
        };
        assert_eq!(code(&rawdoc! {"ok": 1}), None);
        assert_eq!(code(&rawdoc! {"ok": 1, "writeConcernError": {"code": 91}}), Some(Some(91)));
        assert_eq!(code(&rawdoc! {"ok": 0, "code": 189}), Some(Some(189)));
        assert_eq!(code(&rawdoc! {"ok": 0, "errmsg": "not master"}), Some(Some(10058)));
        assert_eq!(code(&rawdoc! {"ok": 0, "errmsg": "node is recovering"}), Some(Some(13436)));
        assert_eq!(code(&rawdoc! {"ok": 0, "errmsg": "no"}), Some(None));
    }
}
