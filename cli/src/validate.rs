//! `flashsale validate`: what is wrong with a sale's file, and what it leaves open.

use crate::failure::Failure;
use flashsale_crds::{EmbeddedDefaults, FlashSale, effective};
use std::path::PathBuf;
use std::process::ExitCode;

/// Check sale files and show the values that they leave open.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The files
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut wrong = Vec::new();
    for file in &args.files {
        let checked =
            FlashSale::load(file).and_then(|sale| effective(&sale.spec, &EmbeddedDefaults::default()));
        match checked {
            Ok(effective) => {
                println!("{}: ok", file.display());
                for filled in &effective.filled {
                    println!("  {} = {} ({})", filled.path, filled.value, filled.why);
                }
            }
            Err(refusals) => wrong.extend(refusals.iter().map(|r| format!("{}: {r}", file.display()))),
        }
    }
    if wrong.is_empty() {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Failure::input(wrong.join("\n")))
    }
}
