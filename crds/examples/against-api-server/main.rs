//! Asks a real API server what `tests/rules.rs` asks an interpreter of CEL: whether each rule takes what it must and
//! refuses what it must, with the sentence that it must, at the field that it must. And whether files that
//! `flashsale validate` takes or refuses fare alike there.
//!
//! `KUBECONFIG=… cargo run -p flashsale-crds --example against-api-server -- [--install]`. Everything is a dry run but
//! for the objects that changes are tried on; they are in a namespace of their own and go in the end. It ends with 1
//! when anything came out differently, and with 2 when it couldn't ask.

#[path = "../../tests/cases/mod.rs"]
mod cases;
mod changes;
mod files;
mod server;

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::{Context, Result};
use cases::Try;
use futures_util::{StreamExt, TryStreamExt, stream};
use server::{Answer, Server};

/// How many questions are asked at one time.
const AT_ONCE: usize = 6;

/// What came of one question.
struct Finding {
    /// Kind, rule and place; or the file.
    subject: String,
    /// What differs from what was expected; `None` when nothing does.
    difference: Option<String>,
    /// Whether a refusal was expected.
    is_refusal: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<usize> {
    let _ = rustls_ring();
    let client = kube::Client::try_default()
        .await
        .context("no cluster: set KUBECONFIG")?;
    let server = Server::new(client);
    if std::env::args().any(|argument| argument == "--install") {
        server.install().await?;
    }
    server.begin().await?;
    let findings = ask(&server).await;
    server.end().await?;
    Ok(report(&findings?))
}

fn rustls_ring() -> Result<(), std::sync::Arc<rustls::crypto::CryptoProvider>> {
    rustls::crypto::ring::default_provider().install_default()
}

async fn ask(server: &Server) -> Result<Vec<Finding>> {
    let (changes, creations): (Vec<Try>, Vec<Try>) =
        cases::tries().into_iter().partition(|one| one.old.is_some());
    let mut findings: Vec<Finding> = stream::iter(&creations)
        .map(|one| async move {
            let answer = server.create(&one.kind, &one.new).await?;
            anyhow::Ok(judge(one, &answer))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    findings.extend(changes::ask(server, &changes).await?);
    findings.extend(files::ask(server).await?);
    Ok(findings)
}

/// Compares an answer with what a fixture expects.
fn judge(one: &Try, answer: &Answer) -> Finding {
    let said: Vec<&str> = answer.causes.iter().map(|cause| cause.message.as_str()).collect();
    let difference = match &one.message {
        None if answer.is_accepted => None,
        None => Some(format!("should be taken, but: {}", answer.message)),
        Some(message) if answer.is_accepted => Some(format!("should be refused: {message}")),
        Some(message) => match answer.causes.iter().find(|cause| cause.message == *message) {
            None => Some(format!(
                "should say: {message}\n    but says: {}",
                said.join("\n              ")
            )),
            Some(_) if one.is_alone && said.len() > 1 => Some(format!(
                "should say only: {message}\n    but says: {}",
                said.join("\n              ")
            )),
            Some(cause) => cases::field_of(one)
                .filter(|field| *field != cause.field)
                .map(|field| format!("should name {field}, but names {}", cause.field)),
        },
    };
    Finding {
        subject: format!("{:<16} {:<32} {}", one.kind, one.rule, one.at),
        difference,
        is_refusal: one.message.is_some(),
    }
}

/// Prints a table, a line for each rule or file; answers how many findings differ.
fn report(findings: &[Finding]) -> usize {
    let mut lines: BTreeMap<&str, (usize, usize, Vec<&str>)> = BTreeMap::new();
    for finding in findings {
        let (accepted, refused, differences) = lines.entry(&finding.subject).or_default();
        *(if finding.is_refusal { refused } else { accepted }) += 1;
        differences.extend(finding.difference.as_deref());
    }
    println!("taken refused  verdict  kind, rule and place");
    for (subject, (accepted, refused, differences)) in &lines {
        let verdict = if differences.is_empty() { "ok" } else { "DIFFERS" };
        println!("{accepted:>5} {refused:>7}  {verdict:<7}  {subject}");
        for difference in differences {
            println!("    {difference}");
        }
    }
    let different = findings
        .iter()
        .filter(|finding| finding.difference.is_some())
        .count();
    println!(
        "{} objects tried against {} rules and files; {different} came out differently",
        findings.len(),
        lines.len()
    );
    different
}
