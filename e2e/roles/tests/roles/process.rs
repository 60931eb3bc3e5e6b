//! One process of the data plane.

use flashsale_dataplane::roles::Ready;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// Between two looks at a file that tells what can't be awaited.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long a process that can't serve may take to say so.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// A role's process, killed when dropped.
pub(crate) struct Process {
    pub(crate) name: String,
    role: &'static str,
    config: PathBuf,
    ready_file: PathBuf,
    errors: PathBuf,
    child: Child,
}

/// Runs a role to its end: the exit code, and what it said.
pub(crate) async fn ended(role: &str, config: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashsale-role-under-test"));
    command.arg(role).arg("--config").arg(config).kill_on_drop(true);
    let output = tokio::time::timeout(ENDS_WITHIN, command.output()).await;
    let output = output.expect("it ends").unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// What is in a ready file, of whichever process wrote it.
pub(crate) fn read_ready(file: &Path) -> Option<Ready> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

impl Process {
    /// Starts it, with its configuration written to `dir`.
    pub(crate) fn start(dir: &Path, name: &str, role: &'static str, config: &str) -> Self {
        let file = |end: &str| dir.join(format!("{name}.{end}"));
        std::fs::write(file("yaml"), config).unwrap();
        let mut this = Self {
            child: spawn(role, &file("yaml"), &file("ready"), &file("err")),
            name: name.to_owned(),
            role,
            config: file("yaml"),
            ready_file: file("ready"),
            errors: file("err"),
        };
        assert!(this.child.try_wait().is_ok());
        this
    }

    pub(crate) fn ready_file(&self) -> PathBuf {
        self.ready_file.clone()
    }

    /// Where it serves, if it does.
    pub(crate) fn serves(&self) -> Option<Ready> {
        read_ready(&self.ready_file).filter(|ready| Some(ready.pid) == self.child.id())
    }

    /// Waits until it serves.
    ///
    /// # Errors
    /// It ended, or doesn't within `patience`; with what it said.
    pub(crate) async fn ready(&mut self, patience: Duration) -> Result<Ready, String> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(ready) = self.serves() {
                return Ok(ready);
            }
            if let Ok(ended) = tokio::time::timeout(LOOK_EVERY, self.child.wait()).await {
                return Err(format!(
                    "{} ended before it served: {ended:?}\n{}",
                    self.name,
                    self.errors()
                ));
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "{} doesn't serve after {patience:?}\n{}",
                    self.name,
                    self.errors()
                ));
            }
        }
    }

    /// Kills it without a warning.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again as it was.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.role, &self.config, &self.ready_file, &self.errors);
    }

    /// Whether it has ended by itself, and how.
    pub(crate) fn gone(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Asks it to end.
    pub(crate) async fn terminate(&self) {
        if let Some(pid) = self.child.id() {
            let mut kill = Command::new("kill");
            kill.arg("-TERM").arg(pid.to_string());
            // It may have ended by itself just now.
            let _ = kill.output().await.unwrap();
        }
    }

    /// Asks it to end, and waits for that.
    pub(crate) async fn stop(&mut self, patience: Duration) -> Result<(), String> {
        self.terminate().await;
        match tokio::time::timeout(patience, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            ended => Err(format!("{} was to end: {ended:?}\n{}", self.name, self.errors())),
        }
    }

    /// What it, and those before it, said on standard error.
    pub(crate) fn errors(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }
}

fn spawn(role: &str, config: &Path, ready: &Path, errors: &Path) -> Child {
    let mut append = std::fs::OpenOptions::new();
    let to = append.create(true).append(true).open(errors).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashsale-role-under-test"));
    command
        .arg(role)
        .arg("--config")
        .arg(config)
        .arg("--ready-file")
        .arg(ready);
    command.env_remove("RUST_BACKTRACE").env_remove("RUST_LOG");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(to)
        .kill_on_drop(true);
    command.spawn().unwrap()
}
