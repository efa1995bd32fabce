//! What the batches of a bulk write have done so far, with positions counted over all of its statements.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::once::name;
use crate::error;
use crate::ops::bulk::verb::Verb;

#[derive(Default)]
pub struct Totals {
    inserted: i64,
    matched: i64,
    modified: i64,
    removed: i64,
    upserted: Vec<Py<PyAny>>,
    write_errors: Vec<Py<PyAny>>,
    write_concern_errors: Vec<Py<PyAny>>,
    /// A write concern error after which nobody knows what the next batch would meet.
    pub halted: bool,
}

impl Totals {
    pub fn any_failed(&self) -> bool {
        !self.write_errors.is_empty()
    }

    /// Adds one batch's reply; `position` tells where a statement of the batch stands in the whole.
    pub fn note(
        &mut self,
        verb: Verb,
        reply: &Bound<'_, PyAny>,
        position: impl Fn(usize) -> PyResult<usize>,
    ) -> PyResult<()> {
        let py = reply.py();
        let field = |name: &str| reply.call_method1(name!(py, "get"), (name,));
        let count =
            |name: &str| Ok::<_, PyErr>(field(name)?.extract::<Option<i64>>()?.unwrap_or(0));
        let affected = count("n")?;
        match verb {
            Verb::Insert => self.inserted += affected,
            Verb::Delete => self.removed += affected,
            Verb::Update => {
                let before = self.upserted.len();
                note_each(&field("upserted")?, &mut self.upserted, &position)?;
                self.matched += affected - (self.upserted.len() - before) as i64;
                self.modified += count("nModified")?;
            }
        }
        note_each(&field("writeErrors")?, &mut self.write_errors, &position)?;
        let concern = field("writeConcernError")?;
        if concern.is_truthy()? {
            let code = concern.call_method1(name!(py, "get"), ("code",))?;
            self.halted = code.extract::<i32>().is_ok_and(error::is_retryable_code);
            // The server puts the labels beside it; with several batches they belong into it.
            let labels = field("errorLabels")?;
            if labels.is_truthy()? {
                concern.set_item(name!(py, "errorLabels"), labels)?;
            }
            self.write_concern_errors.push(concern.unbind());
        }
        Ok(())
    }

    pub fn into_dict(self, py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let result = PyDict::new(py);
        result.set_item(name!(py, "writeErrors"), PyList::new(py, self.write_errors)?)?;
        let concerns = PyList::new(py, self.write_concern_errors)?;
        result.set_item(name!(py, "writeConcernErrors"), concerns)?;
        result.set_item(name!(py, "nInserted"), self.inserted)?;
        result.set_item(name!(py, "nUpserted"), self.upserted.len())?;
        result.set_item(name!(py, "nMatched"), self.matched)?;
        result.set_item(name!(py, "nModified"), self.modified)?;
        result.set_item(name!(py, "nRemoved"), self.removed)?;
        result.set_item(name!(py, "upserted"), PyList::new(py, self.upserted)?)?;
        Ok(result)
    }
}

fn note_each(
    found: &Bound<'_, PyAny>,
    all: &mut Vec<Py<PyAny>>,
    position: impl Fn(usize) -> PyResult<usize>,
) -> PyResult<()> {
    if found.is_none() {
        return Ok(());
    }
    for item in found.try_iter()? {
        let item = item?;
        let index = item.get_item("index")?.extract()?;
        item.set_item("index", position(index)?)?;
        all.push(item.unbind());
    }
    Ok(())
}
