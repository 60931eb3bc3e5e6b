//! Child processes that end with the benchmark, whatever happens.

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often a child is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How long a child may take to end after it was asked to.
const END_WITHIN: Duration = Duration::from_secs(20);

/// A child process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    name: String,
    ended: bool,
}

impl Running {
    /// Starts `command` on `core` (on any if `None`), its output in `out`.
    pub(crate) fn start(mut command: Command, core: Option<usize>, out: &Path) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let file = std::fs::File::create(out).with_context(|| out.display().to_string())?;
        if let Some(core) = core {
            // taskset becomes the program, so the child's id is the program's.
            let mut pinned = Command::new(super::machine::program("taskset", "util-linux")?);
            pinned
                .args(["-c", &core.to_string()])
                .arg(command.get_program())
                .args(command.get_args());
            command = pinned;
        }
        let child = command
            .stdin(Stdio::null())
            .stderr(file.try_clone()?)
            .stdout(file)
            .spawn()
            .with_context(|| format!("can't start {name}"))?;
        Ok(Self {
            child,
            name,
            ended: false,
        })
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended, and how.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        self.ended |= status.is_some();
        Ok(status)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It didn't within `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() > until {
                bail!("{} didn't end within {} s", self.name, limit.as_secs());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Asks it to end, by `signal`, and waits until it has.
    pub(crate) fn end(&mut self, signal: Signal) -> anyhow::Result<ExitStatus> {
        if self.ended()?.is_none()
            && let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw)
        {
            // A child that wasn't waited for keeps its id: the signal reaches nobody else.
            kill_process(pid, signal).with_context(|| self.name.clone())?;
        }
        self.wait(END_WITHIN)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            // Both fail only if it has just ended.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Calls `look` until it finds something.
///
/// # Errors
/// It found nothing within `limit`, or failed.
pub(crate) fn until<T>(
    what: &str,
    limit: Duration,
    every: Duration,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > end {
            bail!("{what}: not within {} s", limit.as_secs());
        }
        std::thread::sleep(every);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_ends_with_its_handle() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("60");
        let child = Running::start(command, None, &dir.path().join("out")).unwrap();
        let proc = format!("/proc/{}", child.pid());
        assert!(Path::new(&proc).exists());
        drop(child);
        assert!(!Path::new(&proc).exists());
    }

    #[test]
    fn a_child_that_is_asked_to_end_ends_by_that_signal() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("60");
        let mut child = Running::start(command, None, &dir.path().join("out")).unwrap();
        assert!(!child.end(Signal::TERM).unwrap().success());
    }
}
