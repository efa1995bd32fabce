//! What becomes of a document that goes through Python and back. Everything that may change is written here, with
//! its reason; all else has to stay as it was, to the byte.

use bson::raw::CString;
use bson::{Bson, Document, Regex};

use crate::documents::pointer_parts;

/// The document with `_id` first, where encoding puts it.
pub fn document(mut document: Document) -> Document {
    let id = document.remove("_id").map(|id| ("_id".to_owned(), id));
    fields(id.into_iter().chain(document).collect())
}

fn fields(document: Document) -> Document {
    document.into_iter().map(|(name, inner)| (name, value(inner))).collect()
}

fn value(inner: Bson) -> Bson {
    match inner {
        // Types that Python has no class for.
        Bson::Symbol(text) => Bson::String(text),
        Bson::Undefined => Bson::Null,
        // bson.DBRef, which encodes as the document that replaced the old type.
        pointer @ Bson::DbPointer(_) => {
            let (namespace, id) = pointer_parts(pointer);
            Bson::Document(bson::doc! { "$ref": namespace, "$id": id })
        }
        // bson.Regex keeps the options as flags.
        Bson::RegularExpression(regex) => {
            Bson::RegularExpression(Regex { options: flags(regex.options.as_str()), ..regex })
        }
        Bson::Document(document) => Bson::Document(reference(fields(document))),
        Bson::Array(items) => Bson::Array(items.into_iter().map(value).collect()),
        Bson::JavaScriptCodeWithScope(mut code) => {
            code.scope = fields(code.scope);
            Bson::JavaScriptCodeWithScope(code)
        }
        same => same,
    }
}

fn flags(options: &str) -> CString {
    let known: String = "ilmsux".chars().filter(|letter| options.contains(*letter)).collect();
    known.try_into().expect("no NUL")
}

/// bson.DBRef writes `$ref`, `$id` and `$db` first, and no `$db` that is null. To Python a bson.Code is a string.
fn reference(mut document: Document) -> Document {
    let text = |name: &str| {
        use Bson::{JavaScriptCode, JavaScriptCodeWithScope, String};
        let inner = document.get(name);
        matches!(inner, Some(String(_) | JavaScriptCode(_) | JavaScriptCodeWithScope(_)))
    };
    let database = matches!(document.get("$db"), None | Some(Bson::Null)) || text("$db");
    if !text("$ref") || !document.contains_key("$id") || !database {
        return document;
    }
    let mut ordered = Document::new();
    for name in ["$ref", "$id", "$db"] {
        match document.remove(name) {
            Some(Bson::Null) if name == "$db" => {}
            Some(inner) => drop(ordered.insert(name, inner)),
            None => {}
        }
    }
    ordered.extend(document);
    ordered
}
