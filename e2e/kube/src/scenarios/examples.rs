//! Every file of `examples/`, applied as it is but for its times: a pipeline that shows what it would change finds
//! nothing, in every phase.

use super::manners::kubectl;
use crate::cluster::Cluster;
use crate::stage::{self, rfc3339, said};
use anyhow::{Context, Result, bail, ensure};
use chrono::Utc;
use flashsale_crds::status::Phase;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
/// From the apply to the opening, and from there to the closing.
const OPENS_IN: Duration = Duration::from_secs(75);
const OPEN_FOR: Duration = Duration::from_secs(20);
/// Where there is a registration, it opens so long before the sale does.
const REGISTERS_BEFORE: Duration = Duration::from_secs(15);
/// From the apply to the settlement.
const SETTLED_WITHIN: Duration = Duration::from_secs(300);
/// The status may move on between a comparison's two reads: a difference that stays is one.
const LOOKS: usize = 4;

pub(crate) async fn play(cluster: &Cluster) -> Result<()> {
    stage::set(cluster).await?;
    let folder = tempfile::tempdir()?;
    let mut sales = 0;
    for path in files()? {
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let name = path
            .file_name()
            .context("a file has a name")?
            .to_string_lossy()
            .into_owned();
        let copy = folder.path().join(&name);
        if text.contains("\nkind: FlashSale\n") {
            std::fs::write(&copy, at_other_times(&text))?;
            let passed = passes(cluster, &copy, &sale_of(&text)?).await;
            println!("    {name}: {:?}", passed.with_context(|| name.clone())?);
            sales += 1;
        } else {
            // The class that is there stays the default one, and the switch is of a sale that needn't be there.
            let text = text
                .replace("name: standard", "name: example")
                .replace("is-default-class: \"true\"", "is-default-class: \"false\"");
            std::fs::write(&copy, text)?;
            apply(cluster, &copy)?;
            changes_nothing(cluster, &copy)
                .await
                .with_context(|| name.clone())?;
            kubectl(cluster, &["delete", "-f", &copy.to_string_lossy()])?;
            println!("    {name}: ok");
        }
    }
    ensure!(sales > 0, "{EXAMPLES} has no FlashSale");
    Ok(())
}

fn files() -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(EXAMPLES).context(EXAMPLES)?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    Ok(files)
}

fn sale_of(text: &str) -> Result<String> {
    let name = text.split("name: ").nth(1).context("metadata.name")?;
    Ok(name.split([',', '\n']).next().unwrap_or_default().to_owned())
}

/// The same text with times that come soon. A sale's own are two columns in, its registration's are four.
fn at_other_times(text: &str) -> String {
    let opens = Utc::now() + OPENS_IN;
    let times = [
        ("  openTime: ", opens),
        ("  closeTime: ", opens + OPEN_FOR),
        ("    openTime: ", opens - REGISTERS_BEFORE),
    ];
    let line = |line: &str| {
        let time = times.iter().find(|(key, _)| line.starts_with(key));
        time.map_or_else(
            || line.to_owned(),
            |(key, time)| format!("{key}\"{}\"", rfc3339(*time)),
        )
    };
    text.lines().map(|l| line(l) + "\n").collect()
}

/// Plays the sale of this file without buyers; the phases in which nothing would have changed.
async fn passes(cluster: &Cluster, file: &Path, sale: &str) -> Result<Vec<Phase>> {
    let (begun, mut passed) = (Instant::now(), Vec::new());
    apply(cluster, file)?;
    loop {
        let status = stage::status(cluster, sale).await?;
        if let Some(phase) = status.phase.filter(|phase| passed.last() != Some(phase)) {
            changes_nothing(cluster, file)
                .await
                .with_context(|| format!("in {phase:?}"))?;
            passed.push(phase);
            match phase {
                Phase::Settled => break,
                Phase::Failed => bail!("{}", said(&status)),
                _ => {}
            }
        }
        ensure!(
            begun.elapsed() < SETTLED_WITHIN,
            "not settled, {passed:?}: {}",
            said(&status)
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for phase in [Phase::Armed, Phase::Open] {
        ensure!(passed.contains(&phase), "{phase:?} wasn't seen: {passed:?}");
    }
    cluster.clean().await?;
    Ok(passed)
}

fn apply(cluster: &Cluster, file: &Path) -> Result<()> {
    let manager = format!("--field-manager={}", stage::PIPELINE);
    kubectl(
        cluster,
        &["apply", "--server-side", &manager, "-f", &file.to_string_lossy()],
    )?;
    Ok(())
}

/// `kubectl diff` of the file, server-side, is empty.
async fn changes_nothing(cluster: &Cluster, file: &Path) -> Result<()> {
    let mut said = String::new();
    for _ in 0..LOOKS {
        let out = Command::new(&cluster.kubectl)
            .arg("--kubeconfig")
            .arg(&cluster.kubeconfig)
            .args(["diff", "--server-side", "--field-manager", stage::PIPELINE, "-f"])
            .arg(file)
            .output()?;
        if out.status.success() {
            return Ok(());
        }
        said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    bail!("kubectl diff: {said}")
}
