//! What the log knows of one transaction, and how that is written as a document. Pure.

use std::sync::Arc;

use bson::{RawBsonRef, RawDocument, RawDocumentBuf, Uuid};

use super::statement::Statement;
use crate::error::Error;
use crate::wire::elements;

/// The transaction's id: that of its session, and its number there.
pub type Key = (Uuid, i64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Statements ran; its commit was not asked for.
    Open,
    /// All statements are known, and its commit may have been sent.
    Committing,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed,
    Aborted,
    Unknown,
}

/// An error as far as the log keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub message: String,
    pub code: Option<i64>,
    pub labels: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: Key,
    pub state: State,
    /// All times in milliseconds since 1970.
    pub started: i64,
    /// When its commit was first about to be sent.
    pub committing: Option<i64>,
    pub ended: Option<i64>,
    pub statements: Vec<Statement>,
    pub recovery_token: Option<RawDocumentBuf>,
    pub read_concern: Option<RawDocumentBuf>,
    pub write_concern: Option<RawDocumentBuf>,
    /// How often commitTransaction was sent.
    pub commits: u32,
    pub outcome: Option<Outcome>,
    /// The first failure of an aborted transaction, or what its last commit failed with.
    pub error: Option<Failure>,
    /// In seconds, as last seen.
    pub cluster_time: Option<i64>,
    pub session_timeout_minutes: Option<i64>,
    pub pid: i64,
    /// Which attempt at the same transaction it is, where the driver makes them; else 0.
    pub attempt: i64,
    pub deployment: Arc<Deployment>,
    /// The collection of its marker document.
    pub marker: Option<String>,
}

/// Where it ran, and for whom: another server, or the same for another user, knows nothing of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deployment {
    pub set_name: Option<String>,
    pub hosts: Vec<String>,
    /// With the database that knows the user: `source.name`.
    pub user: Option<String>,
}

impl Entry {
    pub fn new(key: Key, now: i64) -> Entry {
        Entry {
            key,
            state: State::Open,
            started: now,
            committing: None,
            ended: None,
            statements: Vec::new(),
            recovery_token: None,
            read_concern: None,
            write_concern: None,
            commits: 0,
            outcome: None,
            error: None,
            cluster_time: None,
            session_timeout_minutes: None,
            pid: 0,
            attempt: 0,
            deployment: Arc::default(),
            marker: None,
        }
    }

    /// Whether nothing is left to find out.
    pub fn is_settled(&self) -> bool {
        self.state == State::Ended
            && matches!(self.outcome, Some(Outcome::Committed | Outcome::Aborted))
    }

    /// The elements of its document.
    pub fn append(&self, out: &mut Vec<u8>, with_bodies: bool) {
        append_key(self.key, out);
        elements::string(out, "state", self.state.name());
        elements::date(out, "started", self.started);
        elements::array_of_documents(out, "statements", &self.statements, |statement, out| {
            statement.append(out, with_bodies);
        });
        for (name, concern) in
            [("readConcern", &self.read_concern), ("writeConcern", &self.write_concern)]
        {
            if let Some(concern) = concern {
                elements::document(out, name, concern);
            }
        }
        if let Some(time) = self.committing {
            elements::date(out, "committing", time);
        }
        if let Some(minutes) = self.session_timeout_minutes {
            elements::int64(out, "sessionTimeoutMinutes", minutes);
        }
        elements::int64(out, "pid", self.pid);
        if self.attempt > 0 {
            elements::int64(out, "attempt", self.attempt);
        }
        self.deployment.append(out);
        if let Some(marker) = &self.marker {
            elements::string(out, "marker", marker);
        }
        self.append_end(out);
    }

    /// What changes once its statements are known.
    pub fn append_end(&self, out: &mut Vec<u8>) {
        elements::int64(out, "commits", self.commits.into());
        if let Some(token) = &self.recovery_token {
            elements::document(out, "recoveryToken", token);
        }
        if let Some(time) = self.cluster_time {
            elements::int64(out, "clusterTime", time);
        }
        if let Some(outcome) = self.outcome {
            elements::string(out, "outcome", outcome.name());
        }
        if let Some(error) = &self.error {
            elements::nested(out, "error", |out| error.append(out));
        }
        if let Some(time) = self.ended {
            elements::date(out, "ended", time);
        }
    }

    pub fn to_document(&self, with_bodies: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        elements::open_document(&mut bytes, |out| self.append(out, with_bodies));
        bytes
    }

    /// `None` if it does not name a transaction.
    pub fn read(document: &RawDocument) -> Option<Entry> {
        let key = key_of(document)?;
        let text = |name: &str| document.get_str(name).ok();
        let part = |name: &str| document.get_document(name).ok().map(RawDocument::to_owned);
        let mut entry = Entry::new(key, date(document, "started").unwrap_or(0));
        entry.state = text("state").and_then(State::named)?;
        if let Ok(statements) = document.get_array("statements") {
            let listed = statements.into_iter().flatten();
            entry.statements =
                listed.filter_map(|one| Statement::read(one.as_document()?)).collect();
        }
        entry.read_concern = part("readConcern");
        entry.write_concern = part("writeConcern");
        entry.committing = date(document, "committing");
        entry.session_timeout_minutes = integer(document, "sessionTimeoutMinutes");
        entry.pid = integer(document, "pid").unwrap_or(0);
        entry.attempt = integer(document, "attempt").unwrap_or(0);
        entry.deployment = Arc::new(Deployment::read(document));
        entry.marker = text("marker").map(str::to_owned);
        entry.apply_end(document);
        Some(entry)
    }

    /// Takes over what `append_end` has written.
    pub fn apply_end(&mut self, document: &RawDocument) {
        let commits = integer(document, "commits").and_then(|commits| u32::try_from(commits).ok());
        self.commits = commits.unwrap_or(self.commits);
        if let Ok(token) = document.get_document("recoveryToken") {
            self.recovery_token = Some(token.to_owned());
        }
        self.cluster_time = integer(document, "clusterTime").or(self.cluster_time);
        self.outcome = document.get_str("outcome").ok().and_then(Outcome::named);
        self.error = document.get_document("error").ok().and_then(Failure::read);
        self.ended = date(document, "ended");
    }
}

impl Deployment {
    fn append(&self, out: &mut Vec<u8>) {
        if let Some(name) = &self.set_name {
            elements::string(out, "setName", name);
        }
        if !self.hosts.is_empty() {
            let hosts: Vec<&str> = self.hosts.iter().map(String::as_str).collect();
            elements::array_of_strings(out, "hosts", &hosts);
        }
        if let Some(user) = &self.user {
            elements::string(out, "user", user);
        }
    }

    fn read(document: &RawDocument) -> Deployment {
        let text = |name: &str| document.get_str(name).ok().map(str::to_owned);
        Deployment {
            set_name: text("setName"),
            hosts: strings(document, "hosts"),
            user: text("user"),
        }
    }
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Committing => "committing",
            State::Ended => "ended",
        }
    }

    pub fn named(name: &str) -> Option<State> {
        [State::Open, State::Committing, State::Ended].into_iter().find(|it| it.name() == name)
    }
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Committed => "committed",
            Outcome::Aborted => "aborted",
            Outcome::Unknown => "unknown",
        }
    }

    pub fn named(name: &str) -> Option<Outcome> {
        let all = [Outcome::Committed, Outcome::Aborted, Outcome::Unknown];
        all.into_iter().find(|outcome| outcome.name() == name)
    }
}

impl Failure {
    pub fn append(&self, out: &mut Vec<u8>) {
        elements::string(out, "message", &self.message);
        if let Some(code) = self.code {
            elements::int64(out, "code", code);
        }
        let labels: Vec<&str> = self.labels.iter().map(String::as_str).collect();
        elements::array_of_strings(out, "labels", &labels);
    }

    pub fn to_document(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        elements::open_document(&mut bytes, |out| self.append(out));
        bytes
    }

    pub fn read(document: &RawDocument) -> Option<Failure> {
        Some(Failure {
            message: document.get_str("message").ok()?.to_owned(),
            code: integer(document, "code"),
            labels: strings(document, "labels"),
        })
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Failure {
        Failure {
            message: error.message().to_owned(),
            code: error.code().filter(|&code| code != 0).map(i64::from),
            labels: error.labels().to_vec(),
        }
    }
}

pub fn append_key((id, number): Key, out: &mut Vec<u8>) {
    elements::uuid(out, "lsid", id);
    elements::int64(out, "txnNumber", number);
}

pub fn key_of(document: &RawDocument) -> Option<Key> {
    let lsid = document.get_binary("lsid").ok()?;
    let id = Uuid::from_bytes(lsid.bytes.try_into().ok()?);
    Some((id, integer(document, "txnNumber")?))
}

fn strings(document: &RawDocument, name: &str) -> Vec<String> {
    let listed = document.get_array(name).ok().into_iter().flatten().flatten();
    listed.filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

fn integer(document: &RawDocument, name: &str) -> Option<i64> {
    match document.get(name).ok()?? {
        RawBsonRef::Int32(value) => Some(value.into()),
        RawBsonRef::Int64(value) => Some(value),
        _ => None,
    }
}

fn date(document: &RawDocument, name: &str) -> Option<i64> {
    document.get_datetime(name).ok().map(bson::DateTime::timestamp_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Entry {
        let statement = Statement {
            command: "insert".into(),
            namespace: "d.c".into(),
            body: Some(bson::rawdoc! { "insert": "c", "documents": [{ "_id": 1 }] }),
        };
        Entry {
            state: State::Ended,
            committing: Some(6),
            ended: Some(7),
            statements: vec![statement],
            recovery_token: Some(bson::rawdoc! { "shard": 1 }),
            read_concern: Some(bson::rawdoc! { "level": "snapshot" }),
            write_concern: Some(bson::rawdoc! { "w": 1 }),
            commits: 2,
            outcome: Some(Outcome::Unknown),
            error: Some(Failure {
                message: "no".into(),
                code: Some(11601),
                labels: vec!["L".into()],
            }),
            cluster_time: Some(1 << 40),
            session_timeout_minutes: Some(30),
            pid: 8,
            attempt: 2,
            deployment: Arc::new(Deployment {
                set_name: Some("rs".into()),
                hosts: vec!["a:27017".into(), "b:27017".into()],
                user: Some("admin.ann".into()),
            }),
            marker: Some("d.markers".into()),
            ..Entry::new((Uuid::new(), 5), 4)
        }
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        for entry in [full(), Entry::new((Uuid::new(), 1), 2)] {
            let bytes = entry.to_document(true);
            assert_eq!(Entry::read(RawDocument::from_bytes(&bytes).unwrap()), Some(entry));
        }
    }

    #[test]
    fn an_end_takes_the_place_of_the_one_before() {
        let mut entry = full();
        let end = Entry { outcome: Some(Outcome::Committed), error: None, commits: 3, ..full() };
        let mut bytes = Vec::new();
        elements::open_document(&mut bytes, |out| end.append_end(out));
        entry.apply_end(RawDocument::from_bytes(&bytes).unwrap());
        assert_eq!(entry, Entry { key: entry.key, ..end });
    }

    #[test]
    fn what_names_no_transaction_is_no_entry() {
        assert_eq!(Entry::read(&bson::rawdoc! { "state": "open", "txnNumber": 1 }), None);
    }
}
