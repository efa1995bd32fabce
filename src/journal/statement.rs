//! One statement of a transaction, as the log keeps it. Pure.

use bson::{RawDocument, RawDocumentBuf};

use crate::wire::elements;
use crate::wire::message::Sequence;

#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The command's name.
    pub command: String,
    /// The collection with its database, those of a bulkWrite separated by commas, or the database.
    pub namespace: String,
    /// The command as the caller gave it, with its documents.
    pub body: Option<RawDocumentBuf>,
}

impl Statement {
    /// `own`: the elements of the caller's command.
    pub fn new(database: &str, own: &[u8], sequences: &[Sequence], keep_body: bool) -> Statement {
        if !keep_body && let Some((command, collection)) = named(own) {
            let namespace = [database, collection].join(".");
            return Statement { command: command.to_owned(), namespace, body: None };
        }
        let mut bytes = Vec::with_capacity(own.len() + EMPTY);
        elements::open_document(&mut bytes, |out| {
            out.extend_from_slice(own);
            for (name, documents) in sequences {
                if keep_body || *name == NAMESPACES {
                    let documents: Vec<&RawDocument> = end_to_end(documents).collect();
                    elements::array_of_documents(out, name, &documents, |document, out| {
                        elements::all_of(out, document);
                    });
                }
            }
        });
        let body = RawDocumentBuf::from_bytes(bytes).unwrap_or_default();
        let first = body.iter().next().and_then(Result::ok);
        let (command, value) = first.map_or(("", None), |(key, value)| (key.as_str(), Some(value)));
        let command = command.to_owned();
        let collection = value.and_then(|value| value.as_str()).or_else(|| match &*command {
            "getMore" => body.get_str("collection").ok(),
            _ => None,
        });
        let namespace = match collection {
            Some(collection) => format!("{database}.{collection}"),
            None => namespaces(&body).unwrap_or_else(|| database.to_owned()),
        };
        Statement { command, namespace, body: keep_body.then_some(body) }
    }

    pub fn append(&self, out: &mut Vec<u8>, with_body: bool) {
        elements::string(out, "command", &self.command);
        elements::string(out, "ns", &self.namespace);
        if let Some(body) = self.body.as_ref().filter(|_| with_body) {
            elements::document(out, "body", body);
        }
    }

    pub fn read(document: &RawDocument) -> Option<Statement> {
        Some(Statement {
            command: document.get_str("command").ok()?.to_owned(),
            namespace: document.get_str("ns").ok()?.to_owned(),
            body: document.get_document("body").ok().map(RawDocument::to_owned),
        })
    }
}

/// The name of a command whose first element, as of most, is that of its collection.
fn named(own: &[u8]) -> Option<(&str, &str)> {
    let rest = own.strip_prefix(&[STRING])?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    let (command, rest) = (&rest[..end], &rest[end + 1..]);
    let (length, rest) = rest.split_first_chunk()?;
    let collection = rest.get(..i32::from_le_bytes(*length) as usize)?.strip_suffix(&[0])?;
    Some((str::from_utf8(command).ok()?, str::from_utf8(collection).ok()?))
}

/// Those that a bulkWrite names.
fn namespaces(command: &RawDocument) -> Option<String> {
    let listed = command.get_array(NAMESPACES).ok()?;
    let names =
        listed.into_iter().flatten().filter_map(|one| one.as_document()?.get_str("ns").ok());
    Some(names.collect::<Vec<_>>().join(", "))
}

fn end_to_end(mut bytes: &[u8]) -> impl Iterator<Item = &RawDocument> {
    std::iter::from_fn(move || {
        let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
        let document = RawDocument::from_bytes(bytes.get(..length)?).ok()?;
        bytes = &bytes[length..];
        Some(document)
    })
}

const NAMESPACES: &str = "nsInfo";
/// The type of an element.
const STRING: u8 = 0x02;
/// The length and the end of a document.
const EMPTY: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(command: &RawDocument, sequences: &[Sequence], keep_body: bool) -> Statement {
        let bytes = command.as_bytes();
        Statement::new("d", &bytes[4..bytes.len() - 1], sequences, keep_body)
    }

    #[test]
    fn a_statement_is_kept_with_its_documents() {
        let insert = bson::rawdoc! { "insert": "c", "ordered": true };
        let mut documents = bson::rawdoc! { "_id": 1 }.into_bytes();
        documents.extend(bson::rawdoc! { "_id": 2 }.into_bytes());
        let whole = statement(&insert, &[("documents", documents.clone())], true);
        assert_eq!((&*whole.command, &*whole.namespace), ("insert", "d.c"));
        let expected = bson::rawdoc! { "insert": "c", "ordered": true, "documents": [{ "_id": 1 }, { "_id": 2 }] };
        assert_eq!(whole.body.unwrap(), expected);
        assert_eq!(statement(&insert, &[("documents", documents)], false).body, None);
    }

    #[test]
    fn a_statement_names_what_it_works_on() {
        let more = bson::rawdoc! { "getMore": 5_i64, "collection": "c" };
        assert_eq!(statement(&more, &[], false).namespace, "d.c");
        assert_eq!(statement(&bson::rawdoc! { "aggregate": 1 }, &[], false).namespace, "d");
        let mut listed = bson::rawdoc! { "ns": "d.a" }.into_bytes();
        listed.extend(bson::rawdoc! { "ns": "e.b" }.into_bytes());
        let many = statement(&bson::rawdoc! { "bulkWrite": 1 }, &[("nsInfo", listed)], false);
        assert_eq!((&*many.namespace, many.body), ("d.a, e.b", None));
    }

    #[test]
    fn a_statement_is_read_as_it_was_written() {
        let find = statement(&bson::rawdoc! { "find": "c", "filter": { "x": 1 } }, &[], true);
        let mut bytes = Vec::new();
        elements::open_document(&mut bytes, |out| find.append(out, true));
        assert_eq!(Statement::read(RawDocument::from_bytes(&bytes).unwrap()), Some(find));
    }
}
