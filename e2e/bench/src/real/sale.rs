//! A whole sale on real parts: 100,000 units to 500,000 buyers, from its opening to its audit.

use super::Parts;
use crate::child::Running;
use crate::report::{Figure, Goal, Section};
use crate::sale::{self, Offer};
use crate::{Bench, machine};
use anyhow::{Context, ensure};
use std::process::Command;
use std::time::Duration;

const STOCK: u32 = 100_000;
const BUYERS: u32 = 500_000;
/// Orders are made faster than the set rate of a shop would be, so that the sale settles while one looks at it.
const ORDERS_PER_MINUTE: u32 = 400_000;
/// How long an order may wait for its payment: a unit that isn't paid for is sold again.
const PAYMENT_TIMEOUT: &str = "60s";
/// From the start to the settlement.
const SETTLED_WITHIN: Duration = Duration::from_secs(900);
/// In seconds: 80 % is taken, and all.
const MOST_WITHIN: f64 = 10.0;
const ALL_WITHIN: f64 = 60.0;

pub(crate) fn measure(bench: &Bench<'_>) -> anyhow::Result<Section> {
    let parts = Parts::start(bench)?;
    bench.progress.show("500,000 buyers");
    let report = play(bench, &parts.options()?)?;
    let number = |value: &serde_json::Value, what: &str| {
        value
            .as_f64()
            .with_context(|| format!("the report doesn't say {what}"))
    };
    ensure!(
        report["audit"]["ok"] == true,
        "the audit failed: {}",
        report["audit"]
    );
    let one = |name: &str, unit, value: f64| Figure::new(name, unit, vec![value]);
    let figures = vec![
        one(
            "sold",
            "units",
            number(&report["items"][0]["sold"], "what was sold")?,
        )
        .goal(Goal::Exactly(f64::from(STOCK))),
        one(
            "80 % taken after",
            "s",
            number(&report["secondsTo80Percent"], "when 80 % were taken")?,
        )
        .goal(Goal::AtMost(MOST_WITHIN)),
        one(
            "all taken after",
            "s",
            number(&report["secondsToSoldOut"], "when all was taken")?,
        )
        .goal(Goal::AtMost(ALL_WITHIN)),
        one(
            "purchase answered, median",
            "ms",
            number(&report["latencyMs"]["p50"], "the latency")?,
        ),
        one(
            "purchase answered, 99 %",
            "ms",
            number(&report["latencyMs"]["p99"], "the latency")?,
        ),
    ];
    Ok(Section {
        name: "sale-real",
        method: format!(
            "`flashsale up --buyers {BUYERS} --once` on {}: {STOCK} units, of which those that aren't paid for are sold \
             again, to {BUYERS} simulated buyers in the same process over real HTTP, 95 % of whom come within 3 s of \
             the opening; times are those of the buyers' answers, sold is what the audit found paid. Every check of the \
             audit is ok, and no promise to a buyer was broken.",
            Parts::described()
        ),
        figures,
        notes: Vec::new(),
    })
}

/// Plays the sale; its report.
fn play(bench: &Bench<'_>, options: &[String]) -> anyhow::Result<serde_json::Value> {
    let dir = bench.round_dir()?;
    let (file, report, out) = (
        dir.path().join("sale.yaml"),
        dir.path().join("report.json"),
        dir.path().join("up.out"),
    );
    let offer = Offer {
        stock: STOCK,
        orders_per_minute: ORDERS_PER_MINUTE,
    };
    std::fs::write(&file, sale::yaml(offer)).with_context(|| file.display().to_string())?;
    let mut command = Command::new(machine::flashsale(bench.programs)?);
    command.arg("up").arg(&file).args(options);
    command.arg("--data").arg(dir.path().join("data"));
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.args([
        "--opens-in",
        "10s",
        "--payment-timeout",
        PAYMENT_TIMEOUT,
        "--plain",
        "--once",
    ]);
    command.args(["--buyers", &BUYERS.to_string()]);
    command.arg("--report").arg(&report);
    let status = Running::start(command, None, &out)?.wait(SETTLED_WITHIN)?;
    let said = || std::fs::read_to_string(&out).unwrap_or_default();
    ensure!(status.success(), "flashsale up ended with {status}: {}", said());
    Ok(serde_json::from_slice(&std::fs::read(&report)?)?)
}
