//! A real redis-server.

use crate::process::{Process, StartError, free_port};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a server may take to come up.
const UP_WITHIN: Duration = Duration::from_secs(20);
/// How long one look at it may take.
const LOOK_WITHIN: Duration = Duration::from_secs(2);
/// The password of the default user, unless the options say another.
const PASSWORD: &str = "only-for-tests";

/// What Redis does with its append-only file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Aof {
    /// Synced every second.
    #[default]
    EverySecond,
    /// Synced before each answer.
    Always,
    /// There is none: nothing survives a restart.
    Off,
}

/// How to start it.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// Its append-only file.
    pub aof: Aof,
    /// The default user's password; one for tests if there is none.
    pub password: Option<String>,
    /// The port of the primary on this machine whose replica it is; it must have the same password.
    pub replica_of: Option<u16>,
    /// More configuration, as name and value: `("maxmemory", "100mb")`.
    pub config: Vec<(String, String)>,
}

impl RedisOptions {
    /// With one more line of configuration.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.config.push((name.into(), value.into()));
        self
    }
}

/// A redis-server in a directory of its own; it and, if it made one, its directory are gone when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    directory: PathBuf,
    options: RedisOptions,
    // Before the temporary directory, so that the server is gone first.
    process: Process,
    _temporary: Option<tempfile::TempDir>,
}

impl RedisServer {
    /// Starts one in a temporary directory, and waits until it answers.
    ///
    /// # Errors
    /// There is no redis-server, or it doesn't come up.
    pub async fn start(options: RedisOptions) -> Result<Self, StartError> {
        let temporary =
            tempfile::tempdir().map_err(|e| StartError::Other(format!("no temporary directory: {e}")))?;
        let mut server = Self::start_in(temporary.path(), options).await?;
        server._temporary = Some(temporary);
        Ok(server)
    }

    /// Starts one in `directory`, with what is there already.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_in(directory: &Path, options: RedisOptions) -> Result<Self, StartError> {
        let port = free_port().map_err(|e| StartError::Other(format!("no free port: {e}")))?;
        let process = run(directory, port, &options).await?;
        Ok(Self {
            port,
            directory: directory.to_owned(),
            options,
            process,
            _temporary: None,
        })
    }

    /// Its address with the default user's password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}", password(&self.options), self.port)
    }

    /// Its port of the loopback address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Kills it without a warning.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Kills it if it still runs, and starts it again on the same port with the data it wrote.
    ///
    /// # Errors
    /// It doesn't come up.
    pub async fn restart(&mut self) -> Result<(), StartError> {
        self.process.kill();
        self.process = run(&self.directory, self.port, &self.options).await?;
        Ok(())
    }

    /// The same, but all it wrote is gone.
    ///
    /// # Errors
    /// Its data can't be deleted, or it doesn't come up.
    pub async fn restart_wiped(&mut self) -> Result<(), StartError> {
        self.process.kill();
        let data = self.directory.join("data");
        std::fs::remove_dir_all(&data)
            .map_err(|e| StartError::Other(format!("can't delete {}: {e}", data.display())))?;
        self.restart().await
    }

    /// Starts a replica of it in a temporary directory, and waits until it has everything and keeps it on its disk.
    ///
    /// # Errors
    /// It doesn't come up, or doesn't get the data.
    pub async fn replica(&self) -> Result<Self, StartError> {
        let mut replica = Self::start(RedisOptions {
            replica_of: Some(self.port),
            ..self.options.clone()
        })
        .await?;
        let (port, password) = (replica.port, password(&self.options).to_owned());
        let synced = [
            "master_link_status:up",
            "aof_rewrite_in_progress:0",
            "aof_rewrite_scheduled:0",
        ];
        let has_all = async || {
            let info = info(port, &password).await.unwrap_or_default();
            synced.iter().all(|line| info.contains(line))
        };
        replica.process.until(UP_WITHIN, has_all).await?;
        Ok(replica)
    }

    /// A failover: this one is killed without a warning, and what `replica` had got by then, which may lag behind,
    /// is served in its place.
    ///
    /// # Errors
    /// It doesn't come up.
    pub async fn fail_over_to(&mut self, mut replica: Self) -> Result<(), StartError> {
        self.process.kill();
        replica.process.kill();
        self.directory.clone_from(&replica.directory);
        self._temporary = replica._temporary.take();
        self.restart().await
    }

    /// Freezes it: connections stay, nothing is answered.
    pub fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.process.signal(Signal::CONT);
    }
}

fn password(options: &RedisOptions) -> &str {
    options.password.as_deref().unwrap_or(PASSWORD)
}

async fn run(directory: &Path, port: u16, options: &RedisOptions) -> Result<Process, StartError> {
    let data = directory.join("data");
    std::fs::create_dir_all(&data)
        .map_err(|e| StartError::Other(format!("can't make {}: {e}", data.display())))?;
    let mut command = Command::new("redis-server");
    command.current_dir(&data);
    let port_text = port.to_string();
    let (appendonly, appendfsync) = match options.aof {
        Aof::EverySecond => ("yes", "everysec"),
        Aof::Always => ("yes", "always"),
        Aof::Off => ("no", "everysec"),
    };
    let base = [
        ("port", port_text.as_str()),
        ("bind", "127.0.0.1"),
        ("save", ""),
        ("appendonly", appendonly),
        ("appendfsync", appendfsync),
        ("requirepass", password(options)),
        ("masterauth", password(options)),
    ];
    for (name, value) in base {
        command.arg(format!("--{name}")).arg(value);
    }
    if let Some(primary) = options.replica_of {
        command
            .arg("--replicaof")
            .arg("127.0.0.1")
            .arg(primary.to_string());
    }
    for (name, value) in &options.config {
        command.arg(format!("--{name}")).arg(value);
    }
    let mut process = Process::start("redis-server", command, &directory.join("redis.log"))?;
    process
        .until(UP_WITHIN, async || answers(port, password(options)).await)
        .await?;
    Ok(process)
}

fn login(password: &str) -> String {
    format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{password}\r\n", password.len())
}

/// What it says of itself.
async fn info(port: u16, password: &str) -> Option<String> {
    let look = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let ask = format!("{}*1\r\n$4\r\nINFO\r\n*1\r\n$4\r\nQUIT\r\n", login(password));
        stream.write_all(ask.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    };
    tokio::time::timeout(LOOK_WITHIN, look).await.ok().flatten()
}

/// Whether it lets us in and answers: not while it still reads its data.
async fn answers(port: u16, password: &str) -> bool {
    let look = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let ask = format!("{}*1\r\n$4\r\nPING\r\n", login(password));
        stream.write_all(ask.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"+PONG\r\n") {
            let mut bytes = [0; 256];
            let count = stream.read(&mut bytes).await.ok()?;
            answer.extend_from_slice(&bytes[..count]);
            if count == 0 || answer.starts_with(b"-") || answer.windows(3).any(|w| w == b"\n-L") {
                return None;
            }
        }
        Some(())
    };
    tokio::time::timeout(LOOK_WITHIN, look)
        .await
        .is_ok_and(|up| up.is_some())
}
