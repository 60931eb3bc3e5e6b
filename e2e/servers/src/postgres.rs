//! A PostgreSQL server.

use crate::{Process, StartError, free_port};
use rustix::process::{Pid, Signal, kill_process};
use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where Debian and others keep the server's programs; the newest version is taken.
const PROGRAMS: &str = "/usr/lib/postgresql";
/// How long the server may take to answer: after a kill it first does its log over.
const UP_WITHIN: Duration = Duration::from_secs(60);
/// How long its children may take to be gone after a kill.
const GONE_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks whether they are gone.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The unprivileged user if there is none called `postgres`.
const NOBODY: (u32, u32) = (65_534, 65_534);
/// The superuser's name.
const USER: &str = "shop";
/// The superuser's password.
const PASSWORD: &str = "correct horse";

/// Quick to start, and as durable as it is in earnest: `fsync` stays on.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
max_connections = 60
shared_buffers = 128MB
max_wal_size = 2GB
fsync = on
full_page_writes = on
synchronous_commit = on
jit = off
log_line_prefix = '%m [%p] '
";

/// A PostgreSQL server on the loopback address, asking for a password. Its data stays in its directory, so that
/// it can be killed and started again.
#[derive(Debug)]
pub struct PostgresServer {
    dir: PathBuf,
    programs: PathBuf,
    /// As whom it runs, if not as this process.
    user: Option<(u32, u32)>,
    port: u16,
    process: Process,
}

impl PostgresServer {
    /// Starts a server with its data in `dir`/postgres and these empty databases. The server refuses to run as
    /// root; started by root it runs as `postgres` or `nobody`, and `dir` is made passable for everybody.
    ///
    /// # Errors
    /// It isn't installed, or doesn't come up.
    pub async fn start(dir: &Path, databases: &[&str]) -> Result<Self, StartError> {
        let other = |e: std::io::Error| StartError::Other(format!("{}: {e}", dir.display()));
        let programs = programs()?;
        let dir = std::path::absolute(dir.join("postgres")).map_err(other)?;
        std::fs::create_dir_all(&dir).map_err(other)?;
        let user = unprivileged();
        if let Some((uid, gid)) = user {
            chown(&dir, Some(uid), Some(gid)).map_err(other)?;
            if let Some(parent) = dir.parent() {
                let mode = std::fs::metadata(parent).map_err(other)?.mode() | 0o011;
                std::fs::set_permissions(parent, PermissionsExt::from_mode(mode)).map_err(other)?;
            }
        }
        let port = free_port().map_err(other)?;
        init(&programs, &dir, user, port)?;
        let process = run(&programs, &dir, user)?;
        let mut this = Self {
            dir,
            programs,
            user,
            port,
            process,
        };
        this.up().await?;
        for database in databases {
            this.sql("postgres", &format!("CREATE DATABASE \"{database}\""))?;
        }
        Ok(this)
    }

    /// The address of one of its databases, with user and password.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let password = PASSWORD.replace(' ', "%20");
        format!("postgres://{USER}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Runs SQL in one of its databases, as its superuser, with its own client.
    ///
    /// # Errors
    /// The client or the server says no.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String, StartError> {
        let mut psql = Command::new(self.programs.join("psql"));
        let port = self.port.to_string();
        psql.args(["-h", "127.0.0.1", "-p", &port, "-U", USER, "-d", database])
            .args(["-v", "ON_ERROR_STOP=1", "-q", "-A", "-t", "-c", sql])
            .env("PGPASSWORD", PASSWORD);
        finish("psql", &mut psql)
    }

    /// Kills the server and all its children without a warning, and waits until they are gone.
    ///
    /// # Errors
    /// A child doesn't go.
    pub fn kill(&mut self) -> Result<(), StartError> {
        let children = self.children();
        self.process.kill();
        // A child of a dead server ends by itself, but what it is at may still be committed.
        signal(&children, Signal::KILL);
        let deadline = Instant::now() + GONE_WITHIN;
        while children.iter().any(|pid| is_alive(*pid)) {
            if Instant::now() > deadline {
                return Err(StartError::Other("a child of a killed server stays".into()));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Starts the server again, on the same data and port.
    ///
    /// # Errors
    /// It doesn't come up.
    pub async fn restart(&mut self) -> Result<(), StartError> {
        if !self.process.is_gone() {
            self.kill()?;
        }
        self.process = run(&self.programs, &self.dir, self.user)?;
        self.up().await
    }

    /// Stops the server and its children where they are.
    pub fn freeze(&self) {
        self.process.signal(Signal::STOP);
        signal(&self.children(), Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        signal(&self.children(), Signal::CONT);
        self.process.signal(Signal::CONT);
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_end(&self) -> String {
        self.process.log_end()
    }

    async fn up(&mut self) -> Result<(), StartError> {
        let (program, port) = (self.programs.join("pg_isready"), self.port.to_string());
        let ready = async || {
            let mut look = Command::new(&program);
            look.args(["-q", "-h", "127.0.0.1", "-p", &port, "-t", "1"]);
            look.status().is_ok_and(|status| status.success())
        };
        self.process.until(UP_WITHIN, ready).await
    }

    fn children(&self) -> Vec<i32> {
        let pid = self.process.pid();
        let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let list = list.unwrap_or_default();
        list.split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if !self.process.is_gone() {
            // A child that stays ends by itself.
            let _ = self.kill();
        }
    }
}

fn signal(pids: &[i32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        // It may have ended by itself just now.
        let _ = kill_process(pid, signal);
    }
}

/// Whether a process is there and not merely waited for.
fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    !state.is_empty() && !state.starts_with(['Z', 'X'])
}

/// Makes the data directory.
fn init(programs: &Path, dir: &Path, user: Option<(u32, u32)>, port: u16) -> Result<(), StartError> {
    let other = |e: std::io::Error| StartError::Other(format!("{}: {e}", dir.display()));
    let password = dir.join("password");
    std::fs::write(&password, PASSWORD).map_err(other)?;
    if let Some((uid, gid)) = user {
        chown(&password, Some(uid), Some(gid)).map_err(other)?;
    }
    let data = dir.join("data");
    let mut initdb = as_user(&programs.join("initdb"), dir, user);
    initdb
        .arg("-D")
        .arg(&data)
        .args([
            "-U",
            USER,
            "-A",
            "scram-sha-256",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
        ])
        .arg("--pwfile")
        .arg(&password);
    finish("initdb", &mut initdb)?;
    let mut settings = SETTINGS.to_owned();
    // Writing to a String can't fail.
    let _ = writeln!(settings, "port = {port}");
    let _ = writeln!(settings, "unix_socket_directories = '{}'", sockets(dir).display());
    let path = data.join("postgresql.auto.conf");
    std::fs::write(path, settings).map_err(other)
}

/// A socket's path has at most 107 bytes; in a longer directory there is none.
fn sockets(dir: &Path) -> &Path {
    if dir.as_os_str().len() > 80 {
        Path::new("")
    } else {
        dir
    }
}

fn run(programs: &Path, dir: &Path, user: Option<(u32, u32)>) -> Result<Process, StartError> {
    let mut postgres = as_user(&programs.join("postgres"), dir, user);
    postgres.arg("-D").arg(dir.join("data"));
    Process::start("postgres", postgres, &dir.join("log"))
}

fn as_user(program: &Path, dir: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir).env("LC_ALL", "C");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

fn finish(name: &str, command: &mut Command) -> Result<String, StartError> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|source| StartError::Spawn {
        program: name.into(),
        source,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(StartError::NotUp {
        program: name.into(),
        what: format!("failed: {}", output.status),
        log: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// As whom the server runs when this process is root.
fn unprivileged() -> Option<(u32, u32)> {
    if std::fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let ids = line.and_then(|line| {
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    Some(ids.unwrap_or(NOBODY))
}

/// The directory with the server's programs, of the newest version.
fn programs() -> Result<PathBuf, StartError> {
    let versions = std::fs::read_dir(PROGRAMS).into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .max();
    newest
        .map(|version| Path::new(PROGRAMS).join(version.to_string()).join("bin"))
        .ok_or_else(|| {
            StartError::Other(format!(
                "no PostgreSQL in {PROGRAMS}: install the package postgresql"
            ))
        })
}
