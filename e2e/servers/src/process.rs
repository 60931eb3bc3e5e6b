//! One server process.

use socket2::{Domain, Socket, Type};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Between two looks at whether a server has come up.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a server may take to end when it is asked to.
const END_WITHIN: Duration = Duration::from_secs(20);

/// Why a server didn't come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program isn't installed, or can't be started.
    #[error("can't start {program}: {source}")]
    Spawn {
        /// Which program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// It ended, or didn't answer in time.
    #[error("{program} {what}; its log ends with:\n{log}")]
    NotUp {
        /// Which program.
        program: String,
        /// What happened.
        what: String,
        /// The end of its log.
        log: String,
    },
    /// Something around it.
    #[error("{0}")]
    Other(String),
}

/// A server, killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it prints is added to `log`.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::Spawn {
            program: name.to_owned(),
            source,
        };
        let out = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().map_err(failed)?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    /// Waits until `up` says so.
    ///
    /// # Errors
    /// It ends before, or `up` doesn't say so within `patience`.
    pub async fn until(
        &mut self,
        patience: Duration,
        mut up: impl AsyncFnMut() -> bool,
    ) -> Result<(), StartError> {
        let deadline = Instant::now() + patience;
        while !up().await {
            let ended = self.child.try_wait().ok().flatten();
            let late = Instant::now() > deadline;
            if ended.is_some() || late {
                let what = ended.map_or(format!("isn't up after {patience:?}"), |status| {
                    format!("ended: {status}")
                });
                return Err(StartError::NotUp {
                    program: self.name.clone(),
                    what,
                    log: self.log_end(),
                });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, for instance `Signal::STOP`.
    pub fn signal(&self, signal: rustix::process::Signal) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id() as i32) {
            // It may have ended by itself just now.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Kills it without a warning, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end with `signal`, and kills it if it doesn't.
    pub fn end(&mut self, signal: rustix::process::Signal) -> Option<ExitStatus> {
        self.signal(signal);
        let deadline = Instant::now() + END_WITHIN;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        self.kill();
        None
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_gone(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_some())
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_end(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let from = text.len().saturating_sub(4096);
        String::from_utf8_lossy(&text[from..]).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port of the loopback address that is free now, from the kernel.
///
/// It is held until this process ends by a socket that is bound and listens to nothing: whoever reuses addresses can bind to
/// it, as servers do, again after a kill too; a connection that somebody else opens meanwhile gets another one.
///
/// # Errors
/// There is none.
pub fn free_port() -> std::io::Result<u16> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let bound = socket.local_addr()?.as_socket();
    std::mem::forget(socket);
    bound
        .map(|bound| bound.port())
        .ok_or_else(|| std::io::Error::other("an IPv4 socket has no such address"))
}
