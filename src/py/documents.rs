//! The door for documents: those that commands carry go out here, those that replies bring come in, with the codec
//! options of one Database or Collection. The batches of cursors are read in `unread`.

use std::sync::Arc;

use bson::{RawBson, RawDocument, RawDocumentBuf};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::{errors, object_ids};
use crate::codec::{self, CodecSettings, Contents};
use crate::error::Error;
use crate::exec::operation::Outcome;
use crate::ops::cursor::batch::Batch;
use crate::wire::message::Message;

pub struct Documents {
    codec: Arc<CodecSettings>,
}

impl Documents {
    pub fn new(codec_options: &Bound<'_, PyAny>) -> PyResult<Arc<Documents>> {
        let codec = Arc::new(CodecSettings::from_python(codec_options)?);
        Ok(Arc::new(Documents { codec }))
    }

    pub fn codec(&self) -> &CodecSettings {
        &self.codec
    }

    /// For documents that are taken for the server's.
    pub fn of_server(&self) -> Arc<Documents> {
        Arc::new(Documents { codec: self.codec.without_decoders() })
    }
}

/// Out.
impl Documents {
    pub fn message(&self, command: &Bound<'_, PyAny>) -> PyResult<Message> {
        Message::new(|out| self.append(command, out))
    }

    /// One of several in a message.
    pub fn append(&self, document: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
        codec::encode_document(document, &self.codec, false, out)
    }

    /// The fields of a document, without the document around them.
    pub fn elements(&self, document: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
        let mut encoded = Vec::new();
        self.append(document, &mut encoded)?;
        encoded.pop();
        encoded.drain(..4);
        Ok(encoded)
    }

    /// Whatever the user gave: what it is good for, the server says.
    pub fn value(&self, given: &Bound<'_, PyAny>) -> PyResult<RawBson> {
        let py = given.py();
        let document = PyDict::new(py);
        document.set_item("", given)?;
        let mut bytes = Vec::new();
        self.append(&document, &mut bytes)?;
        let malformed = |_| errors::to_python(py, &Error::protocol("a malformed resume token"));
        let document = RawDocumentBuf::from_bytes(bytes).map_err(malformed)?;
        let value = document.get("").map_err(malformed)?;
        Ok(value.map_or(RawBson::Null, RawBson::from))
    }

    /// The `_id` of a document to be inserted, which gets one if it has none.
    pub fn ensure_id(&self, document: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        codec::ensure_id(document, &self.codec, object_ids::generate)
    }
}

/// In.
impl Documents {
    pub fn reply<'py>(
        &self,
        py: Python<'py>,
        outcome: Outcome,
        contents: &Contents,
    ) -> PyResult<Bound<'py, PyAny>> {
        match outcome.reply {
            Some(reply) => codec::decode_reply(py, reply.body().as_bytes(), &self.codec, contents),
            None => Ok(PyDict::new(py).into_any()),
        }
    }

    pub fn first<'py>(
        &self,
        py: Python<'py>,
        batch: &Batch,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        codec::decode_next_in_array(py, batch.documents(), &self.codec, &mut 0)
    }

    /// A document that the server has made: nothing in it is the user's.
    pub fn servers<'py>(
        &self,
        py: Python<'py>,
        document: &RawDocument,
    ) -> PyResult<Bound<'py, PyAny>> {
        codec::decode_reply(py, document.as_bytes(), &self.codec, &Contents::Servers)
    }

    pub fn servers_list<'py>(
        &self,
        py: Python<'py>,
        documents: &[RawDocumentBuf],
    ) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for document in documents {
            list.append(self.servers(py, document)?)?;
        }
        Ok(list)
    }

    /// The exception for a failed command.
    pub fn exception(&self, py: Python<'_>, error: &Error) -> PyErr {
        errors::of_command(py, error, &self.codec)
    }

    /// The same of one that writes.
    pub fn exception_of_write(&self, py: Python<'_>, error: &Error) -> PyErr {
        errors::of_write(py, error, &self.codec)
    }
}
