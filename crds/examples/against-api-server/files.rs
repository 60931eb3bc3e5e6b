//! Files: what `flashsale validate` takes or refuses, an API server must take or refuse.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{Finding, server::Server};

/// Files that only the reader of files refuses: what is odd about them is gone once YAML is read, so that an API server
/// never sees it.
const READ_DIFFERENTLY: [(&str, &str); 6] = [
    ("a-tag.yaml", "tags are dropped"),
    ("stock-octal.yaml", "a leading zero makes a number octal"),
    ("stock-with-decimals.yaml", "100.0 is the same number as 100"),
    ("stock-with-separators.yaml", "10_000 is a number in YAML 1.1"),
    ("switches-null.yaml", "an empty field is left out"),
    ("two-documents.yaml", "kubectl sends each document by itself"),
];

pub(crate) async fn ask(server: &Server) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (folder, is_good) in [
        ("../examples", true),
        ("fixtures/good", true),
        ("fixtures/bad", false),
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut paths: Vec<_> = fs::read_dir(&folder)
            .with_context(|| folder.display().to_string())?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        paths.sort();
        for path in paths
            .iter()
            .filter(|path| path.extension().is_some_and(|name| name == "yaml"))
        {
            findings.push(of_file(server, path, is_good).await?);
        }
    }
    Ok(findings)
}

async fn of_file(server: &Server, path: &Path, is_good: bool) -> Result<Finding> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let text = fs::read_to_string(path)?;
    let kind = text
        .lines()
        .find_map(|line| line.strip_prefix("kind: "))
        .unwrap_or("FlashSale");
    let answer = server.create_file(kind, &text).await?;
    let is_excused = READ_DIFFERENTLY.iter().any(|(file, _)| *file == name);
    // Whether the name is free is asked last, after every rule.
    let is_accepted = answer.is_accepted || answer.message.ends_with("already exists");
    let difference = match (is_good, is_accepted) {
        (true, false) => Some(format!("should be taken, but: {}", answer.message)),
        (false, true) if !is_excused => Some("should be refused".to_owned()),
        (false, false) if is_excused => {
            Some("is refused after all: remove it from READ_DIFFERENTLY".to_owned())
        }
        _ => None,
    };
    Ok(Finding {
        subject: format!("{:<16} {name}", if is_good { "good file" } else { "bad file" }),
        difference,
        is_refusal: !is_good,
    })
}
