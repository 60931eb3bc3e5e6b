//! What the tests of the `flashsale` command share: sales to serve, and the command as a child process.
#![allow(dead_code, reason = "each test program uses its part of this")]

pub(crate) mod evidence;
pub(crate) mod refusal;
pub(crate) mod served;
pub(crate) mod shop;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Longer than any command of these tests takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The secret of the payment callbacks in these tests.
pub(crate) const PAYMENT_SECRET: &str = "a secret of these tests only";

/// An item of a test's sale: its id and its stock.
pub(crate) type Stock<'a> = (&'a str, u32);

/// The YAML of a sale that makes orders as fast as it may.
pub(crate) fn yaml(name: &str, items: &[Stock<'_>]) -> String {
    let items: String = items
        .iter()
        .map(|(id, stock)| format!("    - {{id: {id}, title: \"{id}\", price: \"9.90\", stock: {stock}}}\n"))
        .collect();
    format!(
        "apiVersion: flashsale.dev/v1alpha1\nkind: FlashSale\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec:\n  openTime: \"2030-12-01T12:00:00Z\"\n  closeTime: \"2030-12-01T12:30:00Z\"\n  currency: EUR\n\
         \x20 items:\n{items}  orders: {{ratePerMinute: 600000}}\n"
    )
}

/// A directory for one test with a sale's file in it; removed at the end.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new(yaml: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("flashsale-test-")
            .tempdir()
            .unwrap();
        std::fs::write(dir.path().join("sale.yaml"), yaml).unwrap();
        std::fs::write(dir.path().join("secret"), PAYMENT_SECRET).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn sale(&self) -> PathBuf {
        self.path("sale.yaml")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Keeps the directory for a look at it, and says where it is.
    pub(crate) fn keep(self) -> PathBuf {
        self.dir.keep()
    }

    /// `flashsale up` of this sale on free ports of this machine, with its data here.
    pub(crate) fn up(&self) -> Command {
        let mut command = flashsale(["up"]);
        command.arg(self.sale()).arg("--data").arg(self.data());
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--plain"]);
        command
    }
}

/// The command with these arguments. It ends with the test.
pub(crate) fn flashsale<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashsale"));
    command
        .args(args)
        .env_remove("RUST_BACKTRACE")
        .env_remove("RUST_LOG");
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a command to its end.
pub(crate) async fn ended(command: Command) -> Ended {
    ended_within(command, PATIENCE).await
}

/// Runs a command to its end, which must come within `patience`.
pub(crate) async fn ended_within(mut command: Command, patience: Duration) -> Ended {
    let output = tokio::time::timeout(patience, command.output()).await;
    let output = output.expect("the command ends").expect("the command starts");
    Ended {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `flashsale audit --json`: the exit code and the report.
pub(crate) async fn audit(data: &Path) -> (Ended, serde_json::Value) {
    audit_on(data, &[]).await
}

/// The same of a sale whose parts these options name.
pub(crate) async fn audit_on(data: &Path, parts: &[String]) -> (Ended, serde_json::Value) {
    let mut command = flashsale(["audit", "--json", "--data"]);
    command.arg(data).args(parts);
    let ended = ended(command).await;
    let report = serde_json::from_str(&ended.out).unwrap_or_default();
    (ended, report)
}

/// Whether that is the report of a sale in which everything adds up.
pub(crate) fn adds_up(ended: &Ended, report: &serde_json::Value) -> bool {
    ended.code == Some(0) && report["audit"]["ok"] == true
}
