//! A sidecar's end: shows its shards to gateways and the worker, and takes commands for them.

use super::client::{Reading, Writing};
use super::frame::{self, FRAME_BYTES_MAX, LinkError, SPEAK_EVERY};
use super::handshake::{Caller, Role};
use super::words::{FromSidecar, LIST_MAX, PIECE, ToSidecar, Transfer};
use crate::control::Amended;
use crate::shards::{Command, Gate, Kept};
use crate::shared::Shared;
use flashsale_core::ids::ShardId;
use flashsale_core::view::ShardView;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc, oneshot};

/// How often it is looked what there is to show.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A shard that only moves on is shown this often; one that opens or closes at the next look.
const VIEW_EVERY: Duration = Duration::from_millis(20);
/// Answers that wait for one connection.
const ANSWERS_MAX: usize = 64;
/// Commands for other sidecars' shards that wait for the worker's connection; what is lost comes again.
const RELAYS_MAX: usize = 1_024;

/// What all connections of a sidecar share.
pub(crate) struct SidecarLink {
    shared: Arc<Shared>,
    shards: Vec<Kept>,
    relays: broadcast::Sender<(ShardId, Transfer)>,
    /// What was amended, if this sidecar watches that.
    amended: Option<Amended>,
}

impl SidecarLink {
    /// For the shards that this process keeps. What their keepers have for other shards is to be given to
    /// [`Self::relay`]. A control sidecar passes on what is `amended`, and what it knows of switches.
    pub(crate) fn new(shared: Arc<Shared>, shards: Vec<Kept>, amended: Option<Amended>) -> Self {
        // From here on, whoever is added to the filter is told.
        shared.winners.news();
        Self {
            shared,
            shards,
            relays: broadcast::channel(RELAYS_MAX).0,
            amended,
        }
    }

    /// The shards that are kept here.
    pub(crate) fn kept(&self) -> &[Kept] {
        &self.shards
    }

    /// Passes commands for other sidecars' shards on to the worker, until there are no more.
    pub(crate) async fn relay(&self, mut commands: mpsc::Receiver<(ShardId, Command)>) {
        while let Some((shard, command)) = commands.recv().await {
            if let Some(transfer) = Transfer::of(&command) {
                // Without a worker nobody takes it; its sender says it again.
                let _ = self.relays.send((shard, transfer));
            }
        }
    }

    /// Talks with a gateway, the worker, or whoever hears of switches only.
    pub(crate) async fn talk(&self, caller: Caller, from: Reading, to: Writing) -> LinkError {
        let (answers, answered) = mpsc::channel(ANSWERS_MAX);
        let ended = match caller.role {
            Role::Tool => return LinkError::Foreign("a sidecar serves gateways and the worker only".into()),
            role => tokio::select! {
                ended = self.listen(from, answers) => ended,
                ended = Showing::new(self, role, to).run(answered) => ended,
            },
        };
        ended.err().unwrap_or(LinkError::Silent)
    }

    async fn listen(&self, mut from: Reading, answers: mpsc::Sender<FromSidecar>) -> Result<(), LinkError> {
        loop {
            match frame::read(&mut from, FRAME_BYTES_MAX).await? {
                ToSidecar::Release(shard, tickets) => self.command(shard, Command::Release(tickets))?,
                ToSidecar::Transfer(shard, transfer) => self.command(shard, transfer.command())?,
                ToSidecar::Applied(applied) => {
                    for (shard, n) in applied {
                        // Two workers may overlap for a moment; a number that was applied stays so.
                        self.own(shard)?.applied.send_if_modified(|known| {
                            let further = n > *known;
                            *known = n.max(*known);
                            further
                        });
                    }
                }
                ToSidecar::Load(shard) => {
                    let (done, loaded) = oneshot::channel();
                    self.command(shard, Command::Load(done))?;
                    let answers = answers.clone();
                    tokio::spawn(async move {
                        if loaded.await.is_ok() {
                            // Asked again if the connection is gone.
                            let _ = answers.send(FromSidecar::Loaded(shard)).await;
                        }
                    });
                }
                ToSidecar::Amend(shard, amend) => {
                    let (done, amended) = oneshot::channel();
                    let revision = amend.revision;
                    self.command(shard, Command::Amend(amend, done))?;
                    let answers = answers.clone();
                    tokio::spawn(async move {
                        if amended.await.is_ok() {
                            // Asked again if the connection is gone.
                            let _ = answers.send(FromSidecar::Amended(shard, revision)).await;
                        }
                    });
                }
                ToSidecar::Alive => {}
            }
        }
    }

    fn own(&self, shard: ShardId) -> Result<&Kept, LinkError> {
        let kept = self.shards.iter().find(|kept| kept.shard == shard);
        kept.ok_or_else(|| {
            LinkError::Foreign(format!("shard {} isn't kept here: correct `sidecars`", shard.0))
        })
    }

    /// Everything comes again until it is done, so a keeper that has no room now may miss it.
    fn command(&self, shard: ShardId, command: Command) -> Result<(), LinkError> {
        let _ = self.own(shard)?.commands.try_send(command);
        Ok(())
    }
}

/// What one connection was shown so far.
struct Showing<'l> {
    link: &'l SidecarLink,
    role: Role,
    to: Writing,
    shards: Vec<Shown>,
    /// The number of the next winner to tell.
    winners: Option<u64>,
    /// The number of what was told last of switches, and the revision of the amendments.
    switches: u64,
    amended: u64,
    said: Instant,
}

#[derive(Default)]
struct Shown {
    view: Option<(Arc<ShardView>, Instant)>,
    gate: Option<Option<Gate>>,
}

impl<'l> Showing<'l> {
    fn new(link: &'l SidecarLink, role: Role, to: Writing) -> Self {
        Self {
            shards: link.shards.iter().map(|_| Shown::default()).collect(),
            winners: None,
            switches: 0,
            amended: 0,
            said: Instant::now(),
            link,
            role,
            to,
        }
    }

    async fn run(mut self, mut answers: mpsc::Receiver<FromSidecar>) -> Result<(), LinkError> {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut relays = self.link.relays.subscribe();
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                Some(answer) = answers.recv() => self.say(&answer).await?,
                // What was missed comes again.
                Ok((shard, transfer)) = relays.recv(), if self.role == Role::Worker => {
                    self.say(&FromSidecar::Relay(shard, transfer)).await?;
                }
            }
            self.show().await?;
            if self.said.elapsed() > SPEAK_EVERY {
                self.say(&FromSidecar::Alive).await?;
            }
            frame::flush(&mut self.to).await?;
        }
    }

    async fn say(&mut self, what: &FromSidecar) -> Result<(), LinkError> {
        self.said = Instant::now();
        frame::write(&mut self.to, what).await
    }

    /// Shows what has changed: first the views are looked at, then everybody is told who won until then, then the
    /// views are shown. So no view counts a winner of whom the other side hasn't heard.
    async fn show(&mut self) -> Result<(), LinkError> {
        self.declared().await?;
        if self.role == Role::Payments {
            return Ok(());
        }
        let now = Instant::now();
        let mut views = Vec::new();
        for (ix, (kept, shown)) in self.link.shards.iter().zip(&self.shards).enumerate() {
            let view = self.link.shared.shards[kept.shard.ix()].load_full();
            let due = shown.view.as_ref().is_none_or(|(last, at)| {
                let waited = now.saturating_duration_since(*at) >= VIEW_EVERY;
                !Arc::ptr_eq(last, &view) && (last.phase != view.phase || waited && **last != *view)
            });
            if due {
                views.push((ix, view));
            }
        }
        if self.role == Role::Gateway {
            self.winners().await?;
        }
        for (ix, view) in views {
            let shard = self.link.shards[ix].shard;
            self.say(&FromSidecar::View(shard, (*view).clone())).await?;
            self.shards[ix].view = Some((view, now));
        }
        if self.role == Role::Gateway {
            self.gates().await?;
        }
        Ok(())
    }

    /// What is switched and amended, if this is a control sidecar.
    async fn declared(&mut self) -> Result<(), LinkError> {
        let Some(amended) = &self.link.amended else {
            return Ok(());
        };
        let wire = self.link.shared.switches.wire().clone();
        if wire.number != self.switches {
            self.switches = wire.number;
            self.say(&FromSidecar::Switches(wire.text.clone())).await?;
        }
        if self.role == Role::Worker {
            let now = amended.borrow().clone();
            if let Some(now) = now.filter(|now| now.revision > self.amended) {
                self.amended = now.revision;
                // Only structs of plain values: they always have a JSON form.
                let text = serde_json::to_string(&now).unwrap_or_default();
                self.say(&FromSidecar::Amendments(text)).await?;
            }
        }
        Ok(())
    }

    async fn winners(&mut self) -> Result<(), LinkError> {
        let link = self.link;
        let news = link.shared.winners.news();
        let known = self.winners.and_then(|at| news.since(at, 0));
        if known.is_none() {
            // The first time, or so many have won meanwhile that the filter itself is shorter.
            self.winners = Some(news.end());
            for (at, words) in link.shared.winners.pieces(PIECE) {
                self.say(&FromSidecar::Winners { at, words }).await?;
            }
        }
        while let Some((won, behind)) = self.winners.and_then(|at| news.since(at, LIST_MAX)) {
            self.winners = Some(behind);
            if won.is_empty() {
                return Ok(());
            }
            self.say(&FromSidecar::Won(won)).await?;
        }
        // Overtaken while they were told: the whole filter again, before any view.
        self.winners = None;
        Box::pin(self.winners()).await
    }

    async fn gates(&mut self) -> Result<(), LinkError> {
        for ix in 0..self.shards.len() {
            let kept = &self.link.shards[ix];
            let gate = kept.gate.borrow().clone();
            if self.shards[ix].gate.as_ref() != Some(&gate) {
                let shard = kept.shard;
                self.shards[ix].gate = Some(gate.clone());
                self.say(&FromSidecar::Gate(shard, gate.map(Into::into))).await?;
            }
        }
        Ok(())
    }
}
