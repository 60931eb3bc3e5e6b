//! Bad input and bad surroundings: each is refused with clear lines on standard error, an exit code that says
//! whose turn it is (2: change the input; 1: something failed), and without any loss.
#![allow(clippy::unwrap_used, reason = "a test ends where its ground breaks away")]

#[path = "../common/mod.rs"]
mod common;

mod books;
mod damage;
mod disk;
mod files;
mod flags;
mod mounts;
mod places;

use common::{Ended, ended, yaml};
use std::path::Path;
use tokio::process::Command;

/// The YAML of the sale of these tests.
fn small_yaml() -> String {
    yaml("small", &[("phone", 10)])
}

/// The command must end with this exit code and exactly these lines of errors. A `*` in an expected line stands
/// for anything.
async fn refused(command: Command, code: i32, lines: &[&str]) -> Ended {
    let ended = ended(command).await;
    let told: Vec<&str> = ended.err.lines().collect();
    let fits = told.len() == lines.len() && told.iter().zip(lines).all(|(told, line)| fits(told, line));
    assert!(
        ended.code == Some(code) && fits,
        "expected {code} and {lines:#?}, got {ended:#?}"
    );
    ended
}

fn fits(told: &str, line: &str) -> bool {
    let mut parts = line.split('*');
    let Some(mut rest) = told.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// All files below a directory with their contents, to see that nothing was changed.
fn snapshot(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let Ok(entries) = std::fs::read_dir(dir) else {
        return files;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(snapshot(&path));
        } else {
            files.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn the_lines_pattern_fits_what_it_should_and_nothing_else() {
    assert!(fits("error: a/b: gone", "error: *: gone"));
    assert!(fits("error: x", "error: x"));
    assert!(!fits("error: xy", "error: x"));
    assert!(!fits("error: a/b: gone (2)", "error: *: gone"));
    assert!(fits("a b c d", "a*c*"));
    assert!(!fits("a c b", "a*b*c"));
}
