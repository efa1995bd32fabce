//! Python objects to BSON bytes and back, with no document tree in between. Behaviour is that of PyMongo's
//! `bson` package: the same types, options and exception classes. The room knows nothing of sockets or commands.

mod batch;
mod buffer;
mod classes;
mod decode;
mod encode;
mod errors;
pub(crate) mod imports;
mod insert;
mod keys;
pub(crate) mod names;
mod nesting;
mod object;
pub(crate) mod once;
mod prepare;
mod raw;
mod reply;
mod sequence;
mod settings;
mod types;
mod view;

pub use batch::{decode_array_of_documents, decode_next_in_array};
pub use decode::decode_document;
pub use encode::{encode_document, encode_to_bytes};
pub use insert::ensure_id;
pub use object::{import, intern};
pub use prepare::prepare;
pub use raw::encoded_already;
pub use reply::{Contents, decode_error_reply, decode_reply};
pub use sequence::{decode_one, decode_sequence};
pub use settings::CodecSettings;
