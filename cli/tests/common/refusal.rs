//! A command that must be refused, and what it says then.

use super::{Ended, ended};
use std::path::Path;
use tokio::process::Command;

/// The command must end with this exit code and exactly these lines of errors. A `*` in an expected line stands
/// for anything.
pub(crate) async fn refused(command: Command, code: i32, lines: &[&str]) -> Ended {
    let ended = ended(command).await;
    let told: Vec<&str> = ended.err.lines().collect();
    let fits = told.len() == lines.len() && told.iter().zip(lines).all(|(told, line)| fits(told, line));
    assert!(
        ended.code == Some(code) && fits,
        "expected {code} and {lines:#?}, got {ended:#?}"
    );
    ended
}

/// Whether what was told is the expected line; a `*` in it stands for anything.
pub(crate) fn fits(told: &str, line: &str) -> bool {
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
pub(crate) fn snapshot(dir: &Path) -> Vec<(String, Vec<u8>)> {
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
