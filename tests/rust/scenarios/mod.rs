//! MongoDB's official scenario files: finding them, reading them as BSON, and keeping the score.

use std::path::{Path, PathBuf};

use bson::Bson;
use bson::oid::ObjectId;
use serde_json::Value;

/// The score of one directory of scenarios; `finish` prints it and fails the test when it should.
pub struct Score {
    name: &'static str,
    passed: usize,
    failures: Vec<String>,
    skipped: Vec<String>,
}

impl Score {
    /// Runs `scenario` on every JSON file below `directory`. Without the files there is nothing to run:
    /// that is said aloud, and is no failure.
    pub fn run(directory: &'static str, scenario: impl Fn(&Value) -> Result<(), String>) -> Score {
        let mut score =
            Score { name: directory, passed: 0, failures: Vec::new(), skipped: Vec::new() };
        let root = root().join(directory);
        if !root.is_dir() {
            println!("{directory}: SKIPPED, no scenario files there (set FERROMONGO_SPECS)");
            return score;
        }
        let files = json_files(&root);
        assert!(!files.is_empty(), "{directory} holds no scenario files");
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a readable scenario file");
            let json = serde_json::from_str(&text).expect("a scenario file in JSON");
            match scenario(&json) {
                Ok(()) => score.passed += 1,
                Err(why) => {
                    let name = file.strip_prefix(&root).unwrap_or(&file);
                    score.failures.push(format!("{}: {why}", name.display()));
                }
            }
        }
        score
    }

    /// Counts the files of a directory that these tests cannot run.
    pub fn skip(mut self, directory: &str, reason: &str) -> Score {
        let root = root().join(directory);
        if root.is_dir() {
            self.skipped
                .push(format!("{} files of {directory} ({reason})", json_files(&root).len()));
        }
        self
    }

    pub fn finish(self) {
        let Score { name, passed, failures, skipped } = self;
        println!("{name}: {passed} passed, {} failed", failures.len());
        for line in skipped {
            println!("  skipped: {line}");
        }
        assert!(failures.is_empty(), "{name}:\n  {}", failures.join("\n  "));
    }
}

/// Extended JSON, as far as the scenario files of these tests use it.
pub fn bson(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(flag) => Bson::Boolean(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => i32::try_from(whole).map_or(Bson::Int64(whole), Bson::Int32),
            None => Bson::Double(number.as_f64().expect("a JSON number")),
        },
        Value::String(text) => Bson::String(text.clone()),
        Value::Array(items) => Bson::Array(items.iter().map(bson).collect()),
        Value::Object(fields) => {
            if let Some(hex) = fields.get("$oid") {
                Bson::ObjectId(ObjectId::parse_str(string(hex)).expect("an ObjectId in hex"))
            } else if let Some(number) = fields.get("$numberLong") {
                Bson::Int64(string(number).parse().expect("a whole number"))
            } else {
                Bson::Document(
                    fields.iter().map(|(name, value)| (name.clone(), bson(value))).collect(),
                )
            }
        }
    }
}

pub fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("expected a string, found {value}"))
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// `Err` naming both when they differ.
pub fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: T,
    expected: T,
) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what} is {found:?}, expected {expected:?}"))
    }
}

fn root() -> PathBuf {
    match std::env::var_os("FERROMONGO_SPECS") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/specs"),
    }
}

fn json_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a readable directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(json_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    files
}
