//! The server as a process of its own, and what the system says of it.

use crate::http::Connection;
use crate::sale;
use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long the server may take to listen.
const START_WITHIN: Duration = Duration::from_secs(60);
/// Clock ticks of `/proc` per second, on every Linux there is.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running `flashsale up`.
pub(crate) struct Server {
    child: Child,
    pid: u32,
    /// Where buyers come in.
    pub(crate) listen: SocketAddr,
    /// Where the live document is.
    pub(crate) admin: SocketAddr,
    _data: tempfile::TempDir,
}

/// What is read of the live document.
#[derive(Debug, Deserialize)]
pub(crate) struct Live {
    pub(crate) phase: String,
    pub(crate) queue: Queue,
    pub(crate) funnel: Funnel,
}

/// The queue's part of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Queue {
    pub(crate) waiting: u64,
}

/// What has happened.
#[derive(Debug, Deserialize)]
pub(crate) struct Funnel {
    pub(crate) ordered: u64,
}

/// Processor seconds used so far, by the name of the thread.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Cpu(pub(crate) BTreeMap<String, f64>);

impl Cpu {
    /// Cores in use since `before`, by thread, over `seconds`.
    pub(crate) fn cores_since(&self, before: &Cpu, seconds: f64) -> Cpu {
        let since = |(name, used): (&String, &f64)| {
            let cores = (used - before.0.get(name).copied().unwrap_or(0.0)) / seconds;
            (name.clone(), cores)
        };
        Cpu(self
            .0
            .iter()
            .map(since)
            .filter(|(_, cores)| *cores > 0.0005)
            .collect())
    }

    /// Over all threads.
    pub(crate) fn total(&self) -> f64 {
        self.0.values().sum()
    }
}

impl Server {
    /// Starts `program` on free ports and waits until it takes purchases.
    pub(crate) async fn start(program: &Path, buyers: u32, rate_per_minute: u32) -> anyhow::Result<Self> {
        let data = tempfile::tempdir().context("a directory for the sale's data")?;
        let file = data.path().join("sale.yaml");
        std::fs::write(&file, sale::yaml(buyers, rate_per_minute)).context("writing the sale's file")?;
        let mut child = Command::new(program)
            .arg("up")
            .arg(&file)
            .args(["--trust-header", "--plain", "--opens-in", "1s"])
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"])
            .arg(data.path().join("data"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| {
                format!(
                    "{}: can't start it; build it with `cargo build -p flashsale`",
                    program.display()
                )
            })?;
        let pid = child.id().context("the server ended at once")?;
        let stdout = child.stdout.take().context("the server's output")?;
        let mut lines = BufReader::new(stdout).lines();
        let (mut listen, mut admin) = (None, None);
        let addresses = async {
            while let Some(line) = lines.next_line().await? {
                let address = |prefix: &str, end: &str| {
                    let rest = line.strip_prefix(prefix)?.trim().strip_prefix("http://")?;
                    rest.strip_suffix(end)?.parse::<SocketAddr>().ok()
                };
                listen = listen.or_else(|| address("sale page", "/"));
                admin = admin.or_else(|| address("live page", "/live"));
                if let (Some(listen), Some(admin)) = (listen, admin) {
                    return Ok((listen, admin));
                }
            }
            bail!("the server ended before it said where it listens; its own words are above");
        };
        let (listen, admin) = tokio::time::timeout(START_WITHIN, addresses)
            .await
            .context("the server didn't listen in time")??;
        // Its output must be read, or it would wait for somebody to read it.
        tokio::task::spawn_local(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let this = Self {
            child,
            pid,
            listen,
            admin,
            _data: data,
        };
        this.opened().await?;
        Ok(this)
    }

    async fn opened(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_WITHIN;
        while self.live().await?.phase != "Open" {
            ensure!(Instant::now() < deadline, "the sale didn't open in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The live document.
    pub(crate) async fn live(&self) -> anyhow::Result<Live> {
        let mut connection = Connection::open(self.admin, None).await?;
        let request = "GET /live.json HTTP/1.1\r\nHost: e2e\r\n\r\n";
        let answer = connection.ask(request.as_bytes()).await?;
        serde_json::from_slice(answer.body).context("the live document")
    }

    /// Resident memory in bytes.
    pub(crate) fn rss(&self) -> anyhow::Result<u64> {
        let path = format!("/proc/{}/status", self.pid);
        let status = std::fs::read_to_string(&path).context("the server has ended")?;
        kib(&status, "VmRSS:").with_context(|| format!("{path} has no VmRSS"))
    }

    /// Processor time used so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Cpu> {
        let mut cpu = Cpu::default();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.pid)).context("the server has ended")? {
            // A thread may have ended meanwhile.
            let Ok(stat) = std::fs::read_to_string(task?.path().join("stat")) else {
                continue;
            };
            let (Some(open), Some(close)) = (stat.find('('), stat.rfind(')')) else {
                continue;
            };
            let mut fields = stat[close + 1..].split_ascii_whitespace().skip(11);
            let mut ticks = || fields.next().and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
            let used = (ticks() + ticks()) as f64 / TICKS_PER_SECOND;
            *cpu.0.entry(stat[open + 1..close].to_owned()).or_default() += used;
        }
        Ok(cpu)
    }

    /// Ends the server at once: the sale isn't needed any more.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        ensure!(
            self.child.try_wait()?.is_none(),
            "the server had ended before the run did"
        );
        self.child.kill().await.context("ending the server")
    }
}

fn kib(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace()
        .next()?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

/// What the kernel holds for all sockets of this machine, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Kernel {
    /// Data in socket buffers.
    pub(crate) buffers: u64,
    /// Sockets, files and poll entries themselves, with everything else in the kernel's object caches.
    pub(crate) objects: u64,
}

impl Kernel {
    /// Reads the figures.
    pub(crate) fn now() -> anyhow::Result<Self> {
        let sockets = std::fs::read_to_string("/proc/net/sockstat").context("/proc/net/sockstat")?;
        let tcp = sockets.lines().find(|line| line.starts_with("TCP:"));
        let pages = tcp.and_then(|tcp| tcp.rsplit(' ').next()?.parse::<u64>().ok());
        let memory = std::fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
        Ok(Self {
            buffers: pages.context("/proc/net/sockstat has no TCP memory")? * 4096,
            objects: kib(&memory, "Slab:").context("/proc/meminfo has no Slab")?,
        })
    }
}
