//! `flashsale dead-letters`: messages to the shop that were given up.

use crate::failure::Failure;
use crate::parts::PartsArgs;
use flashsale_crds::EffectiveBuyers;
use flashsale_dataplane::clock::now_ms;
use flashsale_dataplane::data_dir::{DataDir, Overrides};
use flashsale_dataplane::embedded::open_existing_orders;
use flashsale_orders::Replay;
use std::path::PathBuf;
use std::process::ExitCode;

/// At most so many are listed.
const LISTED_MAX: u32 = 1_000;

/// List or send again the messages to the shop that were given up.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to do
    #[command(subcommand)]
    action: Action,
    /// The sale's data directory
    #[arg(long, global = true, default_value = "flashsale-data")]
    data: PathBuf,
    #[command(flatten)]
    parts: PartsArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show them with the reason of their last failure
    List,
    /// Make them due again: a running sale sends them at once, a stopped one when it is started again
    Replay {
        /// All of them
        #[arg(long, conflicts_with = "ids", required_unless_present = "ids")]
        all: bool,
        /// Only these
        ids: Vec<u64>,
    },
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
    let orders = open_existing_orders(&prepared.dir, &prepared.sale, spec, &parts).await?;
    match args.action {
        Action::List => {
            let dead = orders.dead_messages(LISTED_MAX).await?;
            for message in &dead {
                let error = message.last_error.as_deref().unwrap_or("");
                println!(
                    "{}  {}  to {}  {} tries  {error}",
                    message.id,
                    message.kind.word(),
                    message.target,
                    message.attempts
                );
            }
            println!("{} given up", dead.len());
        }
        Action::Replay { all, ids } => {
            let which = if all { Replay::All } else { Replay::Ids(&ids) };
            println!("{} due again", orders.replay(which, now_ms()).await?);
        }
    }
    orders.close().await;
    Ok(ExitCode::SUCCESS)
}
