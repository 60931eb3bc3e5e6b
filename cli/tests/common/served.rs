//! A sale that is being served by a child process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Between two looks at a file or a page that tells what can't be awaited.
const LOOK_EVERY: Duration = Duration::from_millis(3);
/// How long one page of the admin port may take.
const PAGE_WITHIN: Duration = Duration::from_secs(5);

/// Where a sale is served, from its ready file.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
pub(crate) struct Ready {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    pid: u32,
}

/// The addresses in a ready file, of whichever process wrote it.
pub(crate) fn read_ready(file: &Path) -> Option<Ready> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

/// A child that serves, or is about to.
pub(crate) struct Served {
    child: Child,
    ready_file: PathBuf,
    errors: PathBuf,
    pub(crate) started: Instant,
}

impl Served {
    /// Starts it. What it says on standard error is added to `<ready file>.err`.
    pub(crate) fn start(mut command: Command, ready_file: &Path) -> Self {
        let errors = ready_file.with_extension("err");
        let to = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&errors);
        command.arg("--ready-file").arg(ready_file);
        command.stdout(std::process::Stdio::null()).stderr(to.unwrap());
        Self {
            child: command.spawn().unwrap(),
            ready_file: ready_file.to_owned(),
            errors,
            started: Instant::now(),
        }
    }

    /// Waits until it serves.
    ///
    /// # Errors
    /// It ended, or it doesn't within `patience`; with what it said.
    pub(crate) async fn ready(&mut self, patience: Duration) -> Result<Ready, String> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(ready) = self.serves() {
                return Ok(ready);
            }
            if let Ok(ended) = tokio::time::timeout(LOOK_EVERY, self.child.wait()).await {
                return Err(format!("ended before it served: {ended:?}\n{}", self.errors()));
            }
            if Instant::now() > deadline {
                return Err(format!("doesn't serve after {patience:?}\n{}", self.errors()));
            }
        }
    }

    /// Where it serves, if it does.
    pub(crate) fn serves(&self) -> Option<Ready> {
        read_ready(&self.ready_file).filter(|ready| Some(ready.pid) == self.child.id())
    }

    /// Kills it without a warning.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to end, and waits for that.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        if let Some(pid) = self.child.id() {
            let mut kill = Command::new("kill");
            kill.arg("-TERM").arg(pid.to_string());
            // It may have ended by itself just now.
            let _ = kill.output().await.unwrap();
        }
        self.ended().await
    }

    /// Waits until it ends.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.ended_within(super::PATIENCE).await
    }

    /// Waits until it ends, which must come within `patience`.
    pub(crate) async fn ended_within(&mut self, patience: Duration) -> ExitStatus {
        let ended = tokio::time::timeout(patience, self.child.wait()).await;
        let errors = || format!("it doesn't end within {patience:?}: {}", self.errors());
        ended.unwrap_or_else(|_| panic!("{}", errors())).unwrap()
    }

    /// Whether it has ended.
    pub(crate) fn is_gone(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// What it, and those before it on the same data, said on standard error.
    pub(crate) fn errors(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }
}

/// A page of the admin port or of the shop; `None` if nobody answers whole.
pub(crate) async fn page(address: SocketAddr, path: &str) -> Option<String> {
    let load = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: flashsale\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some(body.to_owned())
    };
    tokio::time::timeout(PAGE_WITHIN, load).await.ok()?
}

/// The live document.
pub(crate) async fn live(admin: SocketAddr) -> Option<serde_json::Value> {
    serde_json::from_str(&page(admin, "/live.json").await?).ok()
}

/// Waits until the live document says so.
///
/// # Errors
/// It doesn't within `patience`; with what it said last.
pub(crate) async fn until(
    admin: SocketAddr,
    patience: Duration,
    so: impl Fn(&serde_json::Value) -> bool,
) -> Result<serde_json::Value, String> {
    let deadline = Instant::now() + patience;
    let mut last = None;
    while Instant::now() < deadline {
        if let Some(live) = live(admin).await {
            if so(&live) {
                return Ok(live);
            }
            last = Some(live);
        }
        tokio::time::sleep(LOOK_EVERY * 10).await;
    }
    Err(format!("not within {patience:?}; last: {last:?}"))
}
