//! The Python classes of `ferromongo._core`, one file each. `module` makes the module of them.

// They stand below, as the codec looks names up, too.
use crate::codec::{imports, once};

mod blank_bytes;
mod bson;
mod bulk;
mod callbacks;
mod change_stream;
mod client;
mod client_bulk;
mod cursor;
mod cursor_fetch;
mod cursor_list;
mod descriptions;
mod documents;
mod errors;
mod exit;
mod future;
mod grid_download;
mod grid_upload;
mod hub_driver;
mod instance;
mod interpreter;
mod journal;
mod last_found;
mod listeners;
mod loggers;
mod loop_callbacks;
mod loop_driver;
mod loop_lane;
mod module;
mod object_ids;
mod options;
mod pending;
mod pulse;
mod scope;
mod seed_lookup;
mod server_selector;
mod session;
mod task;
mod thread_driver;
mod time_limit;
mod transaction_options;
mod unread;
