//! `flashsale audit`: explains every unit of a sale that isn't being served.

use crate::failure::Failure;
use crate::parts::PartsArgs;
use crate::report;
use flashsale_crds::EffectiveBuyers;
use flashsale_dataplane::data_dir::{DataDir, Overrides};
use flashsale_dataplane::embedded::audit_closed;
use std::path::PathBuf;
use std::process::ExitCode;

/// Explain every unit of a sale that isn't being served; exit 1 if anything doesn't add up.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The sale's data directory
    #[arg(long, default_value = "flashsale-data")]
    data: PathBuf,
    #[command(flatten)]
    parts: PartsArgs,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let overrides = Overrides {
        buyers: Some(EffectiveBuyers::development()),
        ..Overrides::default()
    };
    let prepared = DataDir::new(args.data).load(&overrides)?;
    let parts = args.parts.parts()?;
    prepared.dir.keep_kinds(&parts.kinds())?;
    let spec = serde_json::Value::Null;
    let (verdict, totals, _) = audit_closed(&prepared.dir, &prepared.sale, spec, &parts).await?;
    let report = report::of_audit(&prepared.sale, &verdict, &totals);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        print!("{}", flashsale_screen::settlement(&report));
    }
    Ok(if verdict.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
