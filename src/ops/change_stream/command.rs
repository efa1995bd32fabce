//! The `aggregate` of a change stream: what the user asked for, and where to go on.

use bson::raw::{RawArrayBuf, cstr};
use bson::{RawArray, RawBsonRef, RawDocument, RawDocumentBuf};

use super::resume::Position;
use crate::error::{Error, Result};

/// The command with the position in its first stage, `$changeStream`.
pub fn at(command: &RawDocument, position: &Position) -> Result<RawDocumentBuf> {
    let mut out = RawDocumentBuf::new();
    for element in command {
        match element.map_err(malformed)? {
            (key, RawBsonRef::Array(stages)) if key.as_str() == "pipeline" => {
                out.append(key, with_position(stages, position)?);
            }
            (key, value) => out.append(key, value),
        }
    }
    Ok(out)
}

fn with_position(stages: &RawArray, position: &Position) -> Result<RawArrayBuf> {
    let mut out = RawArrayBuf::new();
    for (index, stage) in stages.into_iter().enumerate() {
        let stage = stage.map_err(malformed)?;
        match stage {
            RawBsonRef::Document(stage) if index == 0 => {
                let options = stage.get_document("$changeStream").map_err(malformed)?;
                let mut options = options.to_owned();
                position.append(&mut options);
                let mut first = RawDocumentBuf::new();
                first.append(cstr!("$changeStream"), options);
                out.push(first);
            }
            stage => out.push(stage),
        }
    }
    Ok(out)
}

fn malformed(error: impl std::fmt::Display) -> Error {
    Error::protocol(format!("the command of a change stream is malformed: {error}"))
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::super::resume::Begin;
    use super::*;

    #[test]
    fn only_the_first_stage_changes() {
        let command = |stage: RawDocumentBuf| {
            rawdoc! {
                "aggregate": "c", "pipeline": [{ "$changeStream": stage }, { "$match": { "x": 1 } }],
                "cursor": {}, "comment": "why",
            }
        };
        let given = command(rawdoc! { "fullDocument": "updateLookup" });
        let now = at(&given, &Position::new(Begin::Now)).unwrap();
        assert_eq!(now, given);
        let behind = at(&given, &Position::new(Begin::Behind(rawdoc! { "t": 1 }.into()))).unwrap();
        let stage = rawdoc! { "fullDocument": "updateLookup", "resumeAfter": { "t": 1 } };
        assert_eq!(behind, command(stage));
    }
}
