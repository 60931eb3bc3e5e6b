//! Small and read-only file systems, mounted for one test alone.

use std::future::Future;
use std::path::Path;
use std::process::Command;

/// Set in the test's own copy of the world.
const INSIDE: &str = "FLASHSALE_TEST_OWN_MOUNTS";

/// Runs `test` where it may mount without anybody else seeing it: this test program is started again with this
/// one test, in a mount namespace of its own, as its root if the user isn't root already.
pub(crate) fn alone(name: &str, test: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        return runtime.unwrap().block_on(test);
    }
    // Removed from out here: in there, what is mounted can't be.
    let room = tempfile::Builder::new()
        .prefix("flashsale-test-")
        .tempdir()
        .unwrap();
    let mut unshare = Command::new("unshare");
    unshare.env("TMPDIR", room.path());
    unshare
        .args(["--user", "--map-root-user", "--mount"])
        .arg(std::env::current_exe().unwrap());
    unshare.args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
    let output = unshare.output().expect("unshare (util-linux) is installed");
    let told = String::from_utf8_lossy(&output.stdout);
    let (errors, ran) = (String::from_utf8_lossy(&output.stderr), told.contains("1 passed"));
    assert!(output.status.success() && ran, "{told}\n{errors}");
}

fn mount(args: &[&str], at: &Path) {
    let mounted = Command::new("mount").args(args).arg(at).output().unwrap();
    assert!(
        mounted.status.success(),
        "{}",
        String::from_utf8_lossy(&mounted.stderr)
    );
}

/// An empty file system in memory with these options, at a directory that is made for it.
pub(crate) fn tmpfs(at: &Path, options: &str) {
    std::fs::create_dir_all(at).unwrap();
    mount(&["-t", "tmpfs", "-o", options, "tmpfs"], at);
}

/// Nothing below this directory can be written any more.
pub(crate) fn read_only(at: &Path) {
    let path = at.display().to_string();
    mount(&["--bind", &path], at);
    mount(&["-o", "remount,bind,ro"], at);
}

/// Gives a file system in memory another size.
pub(crate) fn resize(at: &Path, size: &str) {
    mount(&["-o", &format!("remount,size={size}")], at);
}
