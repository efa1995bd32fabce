//! What the batches of a client's bulk write have done so far, from their summaries and the results of their
//! operations.

use bson::{RawDocument, RawDocumentBuf};

use super::positions::{corrected, index_of};
use super::totals::{Totals, add_to, count, invalid, malformed};
use crate::error::{Error, Result};
use crate::wire::reply::truth;

#[derive(Debug, Default)]
pub struct ClientTotals {
    pub totals: Totals,
    /// Of some batch not all operations have failed.
    pub any_successful: bool,
    /// The position of an operation that has not failed, and what came of it; if verbose.
    pub results: Vec<(usize, RawDocumentBuf)>,
    pub failure: Option<Failure>,
}

/// What ended the bulk write.
#[derive(Debug)]
pub enum Failure {
    /// A batch was not carried out, or nobody knows.
    Command(Error),
    /// The results of a batch could not be read to the end.
    Results(Error),
}

impl ClientTotals {
    /// Adds the reply to a batch of so many operations. Whether it has a write concern error that a retry might
    /// have cured.
    pub(super) fn add_summary(&mut self, reply: &RawDocument, operations: usize) -> Result<bool> {
        let totals = &mut self.totals;
        let mut failed = 0;
        for element in reply {
            let (name, value) = element.map_err(invalid)?;
            let total = match name.as_str() {
                "nInserted" => &mut totals.inserted,
                "nUpserted" => &mut totals.upserted,
                "nMatched" => &mut totals.matched,
                "nModified" => &mut totals.modified,
                "nDeleted" => &mut totals.deleted,
                "nErrors" => &mut failed,
                _ => continue,
            };
            add_to(total, count(name.as_str(), value)?);
        }
        self.any_successful |= failed < operations as i64;
        totals.add_write_concern_error(reply)
    }

    /// Adds the result of one operation of a batch that began with operation `first`.
    pub(super) fn add_result(
        &mut self,
        result: &RawDocument,
        first: usize,
        operations: usize,
        verbose: bool,
    ) -> Result<()> {
        let position = |index: usize| (index < operations).then(|| first + index);
        let ok = result.get("ok").map_err(invalid)?;
        if !truth(ok.ok_or_else(|| malformed("a result without ok"))?) {
            self.totals.write_errors.push(corrected(result, "idx", position)?);
        } else if verbose {
            let (index, _) = index_of(result, "idx")?;
            let position = position(index);
            let position = position.ok_or_else(|| malformed(format!("no operation {index}")))?;
            self.results.push((position, result.to_owned()));
        }
        Ok(())
    }
}
