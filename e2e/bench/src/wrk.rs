//! The load generator: wrk with a script that lets each request be another buyer's.

use crate::child::Running;
use crate::machine;
use anyhow::Context;
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The purchase request of a browser, with the sale's and item's names of [`crate::sale`].
const PURCHASE: &str = include_str!("purchase.lua");
/// Counts the answers that contain a text.
const COUNT: &str = include_str!("count.lua");

/// What a run of wrk counted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Counted {
    /// Answers.
    pub(crate) requests: f64,
    /// Answers per second.
    pub(crate) per_second: f64,
    /// Answers that weren't 2xx or 3xx.
    pub(crate) refused: f64,
    /// Connections that failed, and requests that were not answered.
    pub(crate) socket_errors: f64,
    /// Answers with the text that was looked for.
    pub(crate) matching: f64,
}

/// One run of wrk.
#[derive(Debug)]
pub(crate) struct Wrk {
    running: Running,
    out: PathBuf,
    limit: Duration,
}

/// How wrk runs.
#[derive(Debug, Clone)]
pub(crate) struct Load<'a> {
    /// Scheme, address and path.
    pub(crate) url: &'a str,
    /// Open connections.
    pub(crate) connections: u32,
    /// Purchases that each connection sends together, before it waits for their answers.
    pub(crate) in_flight: u32,
    /// For at most so long.
    pub(crate) seconds: u64,
    /// On this core only.
    pub(crate) core: Option<usize>,
    /// Names the buyers, so that another run's are others.
    pub(crate) crowd: &'a str,
    /// Instead of purchases: plain requests, counting the answers that contain this text.
    pub(crate) count: Option<&'a str>,
}

impl Wrk {
    /// Starts wrk; its files go to `dir`.
    pub(crate) fn start(dir: &Path, load: &Load<'_>) -> anyhow::Result<Self> {
        let (script, out) = (dir.join("wrk.lua"), dir.join("wrk.out"));
        std::fs::write(&script, if load.count.is_some() { COUNT } else { PURCHASE })
            .with_context(|| script.display().to_string())?;
        let mut command = Command::new(machine::program("wrk", "wrk")?);
        command
            .args(["-t1", "-c", &load.connections.to_string()])
            .args(["-d", &format!("{}s", load.seconds)])
            .arg("-s")
            .arg(&script)
            .arg(load.url)
            .arg("--")
            .arg(load.count.unwrap_or(load.crowd))
            .arg(load.in_flight.to_string());
        Ok(Self {
            running: Running::start(command, load.core, &out)?,
            out,
            limit: Duration::from_secs(load.seconds + 10),
        })
    }

    /// Waits until the time is over.
    pub(crate) fn finish(mut self) -> anyhow::Result<Counted> {
        self.running.wait(self.limit)?;
        self.read()
    }

    /// Ends it now.
    pub(crate) fn interrupt(mut self) -> anyhow::Result<Counted> {
        self.running.end(Signal::INT)?;
        self.read()
    }

    fn read(&self) -> anyhow::Result<Counted> {
        let text = std::fs::read_to_string(&self.out).with_context(|| self.out.display().to_string())?;
        parse(&text).with_context(|| format!("wrk said: {text}"))
    }
}

/// Runs wrk to its end.
pub(crate) fn run(dir: &Path, load: &Load<'_>) -> anyhow::Result<Counted> {
    Wrk::start(dir, load)?.finish()
}

fn parse(text: &str) -> anyhow::Result<Counted> {
    let mut counted = Counted::default();
    let mut found = false;
    for line in text.lines().map(str::trim) {
        let last = || -> anyhow::Result<f64> {
            let word = line.rsplit(' ').next().unwrap_or_default();
            Ok(word.parse::<f64>()?)
        };
        if line.contains(" requests in ") {
            counted.requests = line.split(' ').next().unwrap_or_default().parse()?;
            found = true;
        } else if line.starts_with("Requests/sec:") {
            counted.per_second = last()?;
        } else if line.starts_with("Non-2xx or 3xx responses:") {
            counted.refused = last()?;
        } else if line.starts_with("matching ") {
            counted.matching = last()?;
        } else if let Some(errors) = line.strip_prefix("Socket errors:") {
            let numbers = errors.split([' ', ',']).filter_map(|w| w.parse::<f64>().ok());
            counted.socket_errors = numbers.sum();
        }
    }
    found.then_some(counted).context("no count of requests")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_prints_is_read() {
        let text = "  93111 requests in 4.05s, 12.17MB read\n  Socket errors: connect 0, read 3, write 0, timeout 2\n  \
                    Non-2xx or 3xx responses: 93001\nRequests/sec:  23012.45\nTransfer/sec:      3.01MB\nmatching 17\n";
        let counted = Counted {
            requests: 93_111.0,
            per_second: 23_012.45,
            refused: 93_001.0,
            socket_errors: 5.0,
            matching: 17.0,
        };
        assert_eq!(parse(text).unwrap(), counted);
        assert!(parse("unable to connect").is_err());
    }
}
