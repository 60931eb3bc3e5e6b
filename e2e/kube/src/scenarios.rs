//! What is played, each with the claim that it proves.

mod deletions;
mod examples;
mod idle;
mod kills;
mod manners;
mod pages;
mod restarts;
mod sale;
mod secrets;
mod switches;

use crate::cluster::Cluster;
use anyhow::Result;
use std::pin::Pin;

type Played<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// Something that is played on the cluster.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What it proves.
    pub(crate) claim: &'static str,
    pub(crate) play: for<'a> fn(&'a Cluster) -> Played<'a>,
}

macro_rules! scenarios {
    ($($name:literal => $play:path, $claim:literal;)+) => {
        /// All, in the order in which they are played.
        pub(crate) fn all() -> Vec<Scenario> {
            vec![$(Scenario { name: $name, claim: $claim, play: |cluster| Box::pin($play(cluster)) }),+]
        }
    };
}

scenarios! {
    "sale" => sale::play,
        "a sale applied with kubectl opens on time, sells out exactly to buyers who come by its host name, settles, and leaves nothing behind";
    "examples" => examples::play,
        "every example, applied as it is, goes all the way, and applying it again would change nothing in any phase";
    "restarts" => restarts::play,
        "the operator is killed and upgraded while 2,000 buyers a second come: no pod changes, no purchase fails";
    "switches" => switches::play,
        "a switch reaches every gateway within a second, with Redis and Pulsar down too, and ends by itself";
    "pages" => pages::play,
        "buyers see the shop's own pages, the CDN is told in order when they change, and the shop how the sale ended";
    "kills" => kills::play,
        "the operator is killed at every call that it makes: stock is loaded once, nothing is orphaned";
    "many" => idle::many,
        "two hundred sales on one operator";
    "idle" => idle::quiet,
        "an armed sale that waits costs two requests a minute and no status write in ten minutes";
    "delete-live" => deletions::live,
        "a live sale that is deleted closes, settles and goes";
    "delete-without-log" => deletions::without_log,
        "a sale that is deleted while Pulsar is gone says so, and goes when it is back";
    "delete-namespace" => deletions::with_namespace,
        "a namespace goes with a live sale in it";
}
