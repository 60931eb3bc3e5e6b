//! The end of whoever connects to a sidecar: a gateway, or the worker.

use super::client::{Reading, Talk, Writing};
use super::frame::{self, FRAME_BYTES_MAX, LinkError, SPEAK_EVERY, foreign};
use super::words::{FromSidecar, ToSidecar};
use crate::amendments::Amendments;
use crate::clock::now_ms;
use crate::shards::Gate;
use crate::shared::Shared;
use flashsale_core::ids::{Seq, ShardId};
use flashsale_core::owner::Phase;
use flashsale_core::view::ShardView;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};

/// How often the worker tells how far it has applied.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What this process has heard at least once of each shard.
#[derive(Debug)]
pub(crate) struct Known {
    shown_open: Vec<AtomicBool>,
    loaded: Vec<AtomicBool>,
    amended: Vec<AtomicU64>,
    /// Told when one of them has changed.
    pub(crate) changed: Notify,
}

impl Known {
    pub(crate) fn new(shards: u16) -> Self {
        let none = || (0..shards).map(|_| AtomicBool::new(false)).collect();
        Self {
            shown_open: none(),
            loaded: none(),
            amended: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            changed: Notify::new(),
        }
    }

    /// The shards that were never seen open: of them nobody knows here what was promised.
    pub(crate) fn never_open(&self) -> Vec<ShardId> {
        missing(&self.shown_open)
    }

    /// The shards whose stock isn't known to be loaded.
    pub(crate) fn not_loaded(&self) -> Vec<ShardId> {
        missing(&self.loaded)
    }

    /// The revision of the amendments that a shard is known to have taken.
    pub(crate) fn amended_to(&self, shard: ShardId) -> u64 {
        self.amended[shard.ix()].load(Ordering::Acquire)
    }

    fn amended(&self, shard: ShardId, revision: u64) {
        self.amended[shard.ix()].fetch_max(revision, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    fn note(&self, which: &[AtomicBool], shard: ShardId) {
        if !which[shard.ix()].swap(true, Ordering::AcqRel) {
            self.changed.notify_waiters();
        }
    }
}

fn missing(which: &[AtomicBool]) -> Vec<ShardId> {
    let shards = (0..).map(ShardId).zip(which);
    let missing = shards.filter(|(_, is)| !is.load(Ordering::Acquire));
    missing.map(|(shard, _)| shard).collect()
}

/// The link to one sidecar.
pub(crate) struct ShardsLink {
    /// What this process knows of the sale.
    pub(crate) shared: Arc<Shared>,
    /// What it has heard.
    pub(crate) known: Arc<Known>,
    /// The shards that the sidecar keeps.
    pub(crate) shards: Vec<ShardId>,
    /// How gateways reach each shard of the sale; empty for the worker.
    pub(crate) gates: Arc<Vec<watch::Sender<Option<Gate>>>>,
    /// The way to the sidecar of each shard of the sale, for what sidecars have for each other; empty for gateways.
    pub(crate) routes: Arc<Vec<mpsc::Sender<ToSidecar>>>,
    /// How far each shard of the sale is applied.
    pub(crate) applied: Arc<Vec<AtomicU64>>,
    /// Where amendments go; nowhere for gateways.
    pub(crate) amendments: Option<watch::Sender<Option<Amendments>>>,
    /// What is to be told to this sidecar.
    pub(crate) commands: mpsc::Receiver<ToSidecar>,
}

impl Talk for ShardsLink {
    async fn talk(&mut self, from: Reading, to: Writing) -> LinkError {
        let Self {
            shared,
            known,
            shards,
            gates,
            routes,
            applied,
            amendments,
            commands,
        } = self;
        // Said while there was no link: it comes again, and newer.
        while commands.try_recv().is_ok() {}
        let heard = Heard {
            shared,
            known,
            shards,
            gates,
            routes,
            amendments: amendments.as_ref(),
        };
        let ended = tokio::select! {
            ended = heard.listen(from) => ended,
            ended = tell(to, commands, shards, applied) => ended,
        };
        ended.err().unwrap_or(LinkError::Silent)
    }

    fn lost(&mut self) {
        for &shard in &self.shards {
            if let Some(gate) = self.gates.get(shard.ix()) {
                gate.send_replace(None);
            }
            let closed = closed(&self.shared, shard, Phase::Fencing);
            self.shared.show(shard, closed);
        }
    }
}

/// The shard as it was last seen, but closed: what was promised stays true, and nobody knows what is free.
fn closed(shared: &Shared, shard: ShardId, phase: Phase) -> ShardView {
    let mut view = (*shared.shards[shard.ix()].load_full()).clone();
    view.phase = phase;
    view.free.fill(0);
    view
}

/// What is done with what a sidecar says.
struct Heard<'l> {
    shared: &'l Shared,
    known: &'l Known,
    shards: &'l [ShardId],
    gates: &'l [watch::Sender<Option<Gate>>],
    routes: &'l [mpsc::Sender<ToSidecar>],
    amendments: Option<&'l watch::Sender<Option<Amendments>>>,
}

impl Heard<'_> {
    async fn listen(&self, mut from: Reading) -> Result<(), LinkError> {
        loop {
            match frame::read(&mut from, FRAME_BYTES_MAX).await? {
                FromSidecar::Winners { at, words } => {
                    if !self.shared.winners.merge(at, &words) {
                        return Err(foreign("a filter of another size"));
                    }
                }
                FromSidecar::Won(buyers) => buyers.into_iter().for_each(|b| self.shared.winners.insert(b)),
                FromSidecar::View(shard, view) => self.view(shard, view)?,
                FromSidecar::Gate(shard, login) => {
                    self.own(shard)?;
                    if let Some(gate) = self.gates.get(shard.ix()) {
                        gate.send_replace(login.map(Into::into));
                    }
                }
                FromSidecar::Relay(shard, transfer) => {
                    if let Some(route) = self.routes.get(shard.ix()) {
                        // Its sender says it again.
                        let _ = route.try_send(ToSidecar::Transfer(shard, transfer));
                    }
                }
                FromSidecar::Loaded(shard) => {
                    self.own(shard)?;
                    self.known.note(&self.known.loaded, shard);
                }
                FromSidecar::Amended(shard, revision) => {
                    self.own(shard)?;
                    self.known.amended(shard, revision);
                }
                FromSidecar::Switches(text) => hear(self.shared, &text)?,
                FromSidecar::Amendments(text) => {
                    let found = serde_json::from_str(&text).map_err(|e| foreign(&e.to_string()))?;
                    if let Some(to) = self.amendments {
                        to.send_replace(Some(found));
                    }
                }
                FromSidecar::Alive => {}
            }
        }
    }

    fn own(&self, shard: ShardId) -> Result<(), LinkError> {
        if self.shards.contains(&shard) {
            return Ok(());
        }
        Err(foreign(&format!("shard {}, which isn't kept there", shard.0)))
    }

    fn view(&self, shard: ShardId, view: ShardView) -> Result<(), LinkError> {
        self.own(shard)?;
        let items = self.shared.sale.items.len();
        if view.free.len() != items || view.reservations.len() != items {
            return Err(foreign("a shard of a sale with other items"));
        }
        if view.takes() {
            self.shared.show(shard, view);
            self.known.note(&self.known.shown_open, shard);
        } else {
            // A sidecar that has just started doesn't know yet what was promised.
            self.shared.show(shard, closed(self.shared, shard, view.phase));
        }
        Ok(())
    }
}

/// Takes in what a control sidecar knows of switches.
pub(super) fn hear(shared: &Shared, text: &str) -> Result<(), LinkError> {
    let kept =
        serde_json::from_str(text).map_err(|e| foreign(&format!("switches that can't be read ({e})")))?;
    if shared.switches.merge(kept, now_ms()) {
        tracing::info!(
            revision = shared.switches.in_force().revision,
            "switches were changed"
        );
    }
    Ok(())
}

/// Tells a sidecar what there is to tell, and at once how far everything is applied.
async fn tell(
    mut to: Writing,
    commands: &mut mpsc::Receiver<ToSidecar>,
    shards: &[ShardId],
    applied: &[AtomicU64],
) -> Result<(), LinkError> {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told: Vec<Seq> = vec![0; shards.len()];
    let mut said = tokio::time::Instant::now();
    loop {
        let command = tokio::select! {
            _ = looks.tick() => None,
            command = commands.recv() => match command {
                Some(command) => Some(command),
                // Nobody has anything to tell any more; the link is still listened to.
                None => { looks.tick().await; None }
            },
        };
        let mut news = Vec::new();
        for (shard, told) in shards.iter().zip(&mut told) {
            let now = applied.get(shard.ix()).map_or(0, |n| n.load(Ordering::Acquire));
            if now != *told {
                *told = now;
                news.push((*shard, now));
            }
        }
        let news = (!news.is_empty()).then_some(ToSidecar::Applied(news));
        let alive = (said.elapsed() > SPEAK_EVERY).then_some(ToSidecar::Alive);
        for word in [command, news, alive].into_iter().flatten() {
            frame::write(&mut to, &word).await?;
            said = tokio::time::Instant::now();
        }
        frame::flush(&mut to).await?;
    }
}
