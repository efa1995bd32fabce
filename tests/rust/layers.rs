//! Which room may use which: the table in docs/architecture.md, held against the paths in `src`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

struct Row {
    room: String,
    /// Every room below it may use it.
    is_for_all: bool,
    may_use: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn table() -> Vec<Row> {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let (_, section) = page.split_once("\n## Rooms\n").unwrap();
    let lines = section.lines().skip_while(|line| !line.starts_with("| room |")).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<_> = line.split('|').collect();
        Row {
            room: quoted(cells[1]).remove(0),
            is_for_all: cells[1].contains("(for all)"),
            may_use: quoted(cells[3]),
        }
    });
    rows.collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|it| if it.is_dir() { sources(&it) } else { vec![it] }).collect()
}

/// Of each file of `src`: its path without `src/` and `.rs`, and its code without comments.
fn code() -> BTreeMap<String, String> {
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let name = path.strip_prefix(root().join("src")).unwrap().with_extension("");
        (name.to_str().unwrap().to_owned(), code.collect::<Vec<_>>().join("\n"))
    };
    let files: BTreeMap<_, _> = sources(&root().join("src")).into_iter().map(read).collect();
    assert!(files.len() > 100);
    files
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect()
}

/// The words behind each `prefix` that is not the end of a longer name.
fn behind(prefix: &str, code: &str) -> Vec<String> {
    let starts = code.match_indices(prefix).filter(|(at, _)| {
        !code[..*at].ends_with(|it: char| it.is_alphanumeric() || it == '_' || it == ':')
    });
    starts.map(|(at, _)| first_word(&code[at + prefix.len()..])).collect()
}

/// The modules at the root of the crate that a file names, from there or by `super`.
fn named_by(file: &str, code: &str) -> Vec<String> {
    let depth = file.split('/').filter(|part| *part != "mod").count();
    let mut names = behind("crate::", code);
    assert!(names.iter().all(|name| !name.is_empty()), "{file}: one path a line, no `crate::{{`");
    names.extend(behind(&"super::".repeat(depth), code));
    names
}

#[test]
fn rooms_use_what_the_table_says() {
    let table = table();
    let rooms: Vec<_> = table.iter().map(|row| row.room.as_str()).collect();
    let mut wrong = Vec::new();
    for (file, code) in code().iter().filter(|(file, _)| *file != "lib") {
        let own = file.split('/').next().unwrap();
        let row = table.iter().find(|row| row.room == own);
        let row = row.unwrap_or_else(|| panic!("the table has no room `{own}`"));
        for name in named_by(file, code) {
            let Some(used) = table.iter().find(|row| row.room == name) else { continue };
            if name != own && !used.is_for_all && !row.may_use.contains(&name) {
                wrong.push(format!("src/{file}.rs uses {name}"));
            }
        }
    }
    for (number, row) in table.iter().enumerate() {
        for name in &row.may_use {
            if !rooms[..number].contains(&name.as_str()) {
                wrong
                    .push(format!("the table lets {} use {name}, which is not above it", row.room));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn crates_are_named_in_their_rooms_only() {
    let homes = [
        ("pyo3", &["codec/", "py/"][..]),
        ("tokio", &["control/"]),
        ("mongodb", &["control/monitors"]),
        ("rustls", &["net/tls/", "pool/handshake"]),
    ];
    for (file, code) in code() {
        for (library, homes) in homes {
            let prefix = format!("{library}::");
            let is_home = homes.iter().any(|home| file.starts_with(home));
            assert!(is_home || !code.contains(&prefix), "src/{file}.rs names {library}");
        }
        let only = file == "net/tls/session";
        assert!(only || !code.contains("rustls::unbuffered"), "src/{file}.rs: see net/tls/session");
    }
}
