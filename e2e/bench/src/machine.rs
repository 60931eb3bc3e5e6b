//! The machine: its cores, the CPU time of processes, free ports, programs.

use anyhow::{Context, bail};
use rustix::time::{ClockId, Timespec};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The kernel counts CPU time in these parts of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time of a process, user and system, in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    user_and_system(&pid.to_string(), 11)
}

/// CPU time of all children of this process that have ended, user and system, in seconds.
pub(crate) fn ended_children_seconds() -> anyhow::Result<f64> {
    user_and_system("self", 13)
}

/// The sum of the field `first` behind the name in the process's stat, and of the next one, in seconds.
fn user_and_system(process: &str, first: usize) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |ix: usize| -> anyhow::Result<f64> {
        let field = fields.get(ix).with_context(|| format!("{path}: too short"))?;
        Ok(field.parse::<f64>()?)
    };
    Ok((ticks(first)? + ticks(first + 1)?) / TICKS_PER_SECOND)
}

/// CPU time of the main thread of process `pid` in seconds, by the nanosecond: the first number of its schedstat.
pub(crate) fn main_thread_seconds(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/task/{pid}/schedstat");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let nanos: u64 = text.split(' ').next().unwrap_or_default().parse()?;
    Ok(nanos as f64 / 1e9)
}

/// CPU time of this thread in seconds, by the nanosecond.
pub(crate) fn thread_cpu_seconds() -> f64 {
    seconds(rustix::time::clock_gettime(ClockId::ThreadCPUTime))
}

/// CPU time of this process in seconds, by the nanosecond.
pub(crate) fn own_cpu_seconds() -> f64 {
    seconds(rustix::time::clock_gettime(ClockId::ProcessCPUTime))
}

fn seconds(time: Timespec) -> f64 {
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Two different cores that this process may use: for the server and for its client.
///
/// # Errors
/// There is only one.
pub(crate) fn two_cores() -> anyhow::Result<(usize, usize)> {
    let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let list = status
        .lines()
        .find_map(|l| l.strip_prefix("Cpus_allowed_list:"))
        .context("/proc/self/status names no cores")?;
    match cores(list.trim())?[..] {
        [server, client, ..] => Ok((server, client)),
        _ => bail!("this benchmark needs two cores, one for the server and one for its client"),
    }
}

/// The cores in a list such as `0-3,8`.
fn cores(list: &str) -> anyhow::Result<Vec<usize>> {
    let mut all = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        all.extend(first.parse::<usize>()?..=last.parse::<usize>()?);
    }
    Ok(all)
}

/// An address that was free a moment ago, for programs that can't take port 0.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("can't bind to 127.0.0.1")?;
    Ok(listener.local_addr()?)
}

/// Where a program is; administrators' directories count, too.
///
/// # Errors
/// It isn't installed; names the Debian package.
pub(crate) fn program(name: &str, package: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let mut candidates = directories.map(|d| d.join(name));
    candidates
        .find(|p| p.is_file())
        .with_context(|| format!("{name} is missing: install it with `apt-get install {package}`"))
}

/// The `flashsale` command beside this program.
///
/// # Errors
/// It wasn't built.
pub(crate) fn flashsale(beside: &Path) -> anyhow::Result<PathBuf> {
    let path = beside.join("flashsale");
    if !path.is_file() {
        bail!(
            "{} is missing: build it with `cargo build --release -p flashsale`",
            path.display()
        );
    }
    Ok(path)
}

/// One line about the machine, for the report.
pub(crate) fn description() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map_or("an unknown CPU", |l| l.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = Command::new("uname").arg("-sr").output();
    let kernel = kernel.map_or_else(
        |_| String::new(),
        |out| String::from_utf8_lossy(&out.stdout).trim().to_owned(),
    );
    format!("{cores} cores of {model}, {kernel}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cores_may_have_gaps() {
        assert_eq!(cores("0-2,5").unwrap(), [0, 1, 2, 5]);
        assert_eq!(cores("7").unwrap(), [7]);
        assert!(cores("x").is_err());
    }

    #[test]
    fn a_busy_thread_uses_cpu_time() {
        let before = (thread_cpu_seconds(), own_cpu_seconds());
        let mut x = 1u64;
        while thread_cpu_seconds() < before.0 + 0.1 {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        // The two clocks are brought up to date at different moments, a few milliseconds apart.
        assert!(own_cpu_seconds() >= before.1 + 0.05);
        assert!(cpu_seconds(std::process::id()).is_ok());
    }

    #[test]
    fn a_missing_program_names_its_package() {
        let error = program("no-such-program", "no-such-package").unwrap_err();
        assert!(error.to_string().contains("apt-get install no-such-package"));
    }
}
