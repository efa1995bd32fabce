//! The options of a transaction as typed values. Most transactions of a client have the same ones, its
//! own, so the last are kept with the objects they were read from, which never change.

use std::sync::Arc;

use pyo3::prelude::*;

use super::{errors, options};
use crate::error::{Error, ErrorKind};
use crate::session::transaction::Options;
use crate::sync::Mutex;

/// Locked only with the GIL held, as `PyClient::core` is, and while no Python code runs.
#[derive(Default)]
pub struct LastOptions(Mutex<Option<Arc<Read>>>);

struct Read {
    from: [Py<PyAny>; 3],
    options: Options,
}

impl LastOptions {
    /// `given`: a ReadConcern, a WriteConcern and a read preference.
    pub fn get(&self, given: [&Bound<'_, PyAny>; 3]) -> PyResult<Options> {
        let last = self.0.lock().clone();
        if let Some(last) = last.filter(|last| last.from.iter().zip(given).all(|(a, b)| b.is(a))) {
            return Ok(last.options.clone());
        }
        let options = read(given)?;
        let from = given.map(|given| given.clone().unbind());
        let read = Arc::new(Read { from, options: options.clone() });
        let before = self.0.lock().replace(read);
        drop(before); // outside of the lock: objects may die
        Ok(options)
    }
}

fn read(
    [read_concern, write_concern, read_preference]: [&Bound<'_, PyAny>; 3],
) -> PyResult<Options> {
    let (concern, acknowledged) = options::write_concern(write_concern)?;
    if !acknowledged {
        let shown = write_concern.repr()?;
        let text = format!("transactions do not support unacknowledged write concern: {shown}");
        let error = Error::new(ErrorKind::Configuration, text);
        return Err(errors::to_python(write_concern.py(), &error));
    }
    Ok(Options {
        read_concern: options::read_concern(read_concern)?,
        write_concern: concern.map(Arc::unwrap_or_clone),
        read_preference: Arc::new(options::read_preference(read_preference)?),
        max_commit_time_ms: None,
    })
}
