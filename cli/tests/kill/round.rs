//! One round: a sale, its crowd, and somebody who kills the server.

use crate::common::evidence::AtRest;
use crate::common::served::{self, Served, read_ready};
use crate::common::{PAYMENT_SECRET, Place, adds_up, audit, yaml};
use crate::plan::{Moment, OPENS_AFTER, Plan};
use flashsale_buyers::{
    Address, Crowd, CrowdConfig, CrowdError, Item, Outcome, PaymentSecret, Popularity, Shares, TicketState,
};
use flashsale_dataplane::clock::now_ms;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::oneshot;

/// How long a start may take on a busy machine.
const SERVES_WITHIN: Duration = Duration::from_secs(30);
/// How long the sale may take to settle once nobody kills the server any more.
const SETTLES_WITHIN: Duration = Duration::from_secs(30);
/// After the settlement, buyers may look at their tickets for so long.
const LAST_LOOKS: Duration = Duration::from_millis(700);

/// Where a process stood when it was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    FirstStart,
    Recovery,
    BeforeOpening,
    Open,
    Settling,
    Settled,
}

/// What a round showed.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Every way in which it went wrong.
    pub(crate) problems: Vec<String>,
    pub(crate) kills: Vec<Phase>,
    /// From the start of each process after a kill until it served.
    pub(crate) back_after: Vec<Duration>,
    /// Tickets that a buyer was shown as reserved, or further.
    pub(crate) promised: usize,
    pub(crate) paid: usize,
    /// Requests that the crowd sent again.
    pub(crate) retries: u64,
}

/// What is fixed at a round's start.
struct Round<'a> {
    plan: &'a Plan,
    place: &'a Place,
    opens: u64,
    closes: u64,
}

/// Plays a round. Its directory is kept if something went wrong.
pub(crate) async fn play(plan: &Plan) -> Seen {
    let names: Vec<String> = (0..plan.stock.len()).map(|i| format!("item-{i}")).collect();
    let items: Vec<(&str, u32)> = names
        .iter()
        .map(String::as_str)
        .zip(plan.stock.iter().copied())
        .collect();
    let place = Place::new(&yaml("killed", &items));
    let opens = now_ms() + OPENS_AFTER.as_millis() as u64;
    let round = Round {
        plan,
        place: &place,
        opens,
        closes: opens + plan.window.as_millis() as u64,
    };
    let mut seen = Seen::default();
    let (go_home, told) = oneshot::channel::<()>();
    let crowd = round.crowd().unwrap().run(async move {
        // Told, or the round has ended: either way the crowd goes home.
        let _ = told.await;
    });
    let crowd = tokio::spawn(crowd);
    let mut server = round.start();
    if let Err(problem) = round.torment(&mut server, &mut seen).await {
        seen.problems.push(problem);
    }
    drop(go_home);
    match crowd.await.unwrap() {
        Ok(outcome) => round.check(&outcome, &mut seen).await,
        Err(error) => seen.problems.push(error.to_string()),
    }
    if !seen.problems.is_empty() {
        seen.problems
            .push(format!("all is kept in {}", place.keep().display()));
    }
    seen
}

impl Round<'_> {
    fn crowd(&self) -> Result<Crowd, CrowdError> {
        let ready = self.place.path("ready.json");
        let address = Address::Ask(Arc::new(move || Some(read_ready(&ready)?.listen)));
        let stock = self.plan.stock.iter().enumerate();
        let items = stock
            .map(|(i, stock)| Item::new(format!("item-{i}"), u64::from(*stock)))
            .collect();
        let mut config = CrowdConfig::new(address, "killed", items, self.plan.buyers);
        config.seed = self.plan.seed;
        config.popularity = Popularity::Zipf(1.0);
        config.spread = self.plan.spread;
        config.opens_at_ms = self.opens;
        config.payment_secret = Some(PaymentSecret::new(PAYMENT_SECRET));
        config.connections = 32;
        config.request_timeout = Duration::from_secs(2);
        config.attempts_max = 100;
        config.patience = Duration::from_secs(2);
        config.give_up_after = SERVES_WITHIN * 4 + SETTLES_WITHIN;
        config.shares = Shares {
            duplicates: 0.05,
            replays: 0.05,
            other_keys: 0.03,
            lost_answers: 0.02,
            early: 0.05,
            patient: 0.1,
            pay_twice: 0.1,
            cancels: 0.08,
            non_payers: 0.06,
            late_payers: 0.04,
        };
        Crowd::new(config)
    }

    fn start(&self) -> Served {
        let millis = |d: Duration| format!("{}ms", d.as_millis());
        let mut command: Command = self.place.up();
        command
            .arg("--trust-header")
            .arg("--payment-secret")
            .arg(self.place.path("secret"));
        // Counts only until a process has written its decision down.
        let opens_in = self.opens.saturating_sub(now_ms()).max(1);
        command.args(["--opens-in", &format!("{opens_in}ms")]);
        command.args(["--closes-in", &millis(self.plan.window)]);
        command.args(["--payment-timeout", &millis(self.plan.payment_timeout)]);
        command.args(["--shards", &self.plan.shards.to_string()]);
        command.args(["--gateways", &self.plan.gateways.to_string()]);
        Served::start(command, &self.place.path("ready.json"))
    }

    /// Kills and starts again as planned, then lets the sale settle and ends the server.
    async fn torment(&self, server: &mut Served, seen: &mut Seen) -> Result<(), String> {
        for (n, kill) in self.plan.kills.iter().enumerate() {
            self.wait(server, *kill, n > 0, seen).await?;
            if server.is_gone() {
                return Err(format!("it ended by itself\n{}", server.errors()));
            }
            seen.kills.push(self.phase(server, n > 0).await);
            server.kill().await;
            *server = self.start();
        }
        let ready = server.ready(SERVES_WITHIN).await?;
        seen.back_after.push(server.started.elapsed());
        let settled = served::until(ready.admin, SETTLES_WITHIN, |live| live["phase"] == "Settled").await;
        settled.map_err(|last| format!("it doesn't settle: {last}\n{}", server.errors()))?;
        tokio::time::sleep(LAST_LOOKS).await;
        let status = server.stop().await;
        match status.code() {
            Some(0) => Ok(()),
            _ => Err(format!("it ended with {status}\n{}", server.errors())),
        }
    }

    async fn wait(
        &self,
        server: &mut Served,
        kill: Moment,
        again: bool,
        seen: &mut Seen,
    ) -> Result<(), String> {
        let at = |from: u64, after: Duration| {
            let then = from + after.as_millis() as u64;
            Duration::from_millis(then.saturating_sub(now_ms()))
        };
        let pause = match kill {
            Moment::Start(after) => after.saturating_sub(server.started.elapsed()),
            Moment::Ready(after) => {
                server.ready(SERVES_WITHIN).await?;
                after
            }
            Moment::Opening(after) => at(self.opens, after),
            Moment::Closing(after) => at(self.closes, after),
        };
        if again && !matches!(kill, Moment::Start(_)) {
            server.ready(SERVES_WITHIN).await?;
            seen.back_after.push(server.started.elapsed());
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    async fn phase(&self, server: &Served, again: bool) -> Phase {
        let now = now_ms();
        match server.serves() {
            None if again => Phase::Recovery,
            None => Phase::FirstStart,
            Some(_) if now < self.opens => Phase::BeforeOpening,
            Some(_) if now < self.closes => Phase::Open,
            Some(ready) => match served::live(ready.admin).await {
                Some(live) if live["phase"] == "Settled" => Phase::Settled,
                _ => Phase::Settling,
            },
        }
    }

    async fn check(&self, outcome: &Outcome, seen: &mut Seen) {
        let (ended, report) = audit(&self.place.data()).await;
        if !adds_up(&ended, &report) {
            seen.problems
                .push(format!("the audit: {:?}\n{}{}", ended.code, ended.out, ended.err));
            return;
        }
        let broken = outcome.violations.iter().map(|v| format!("{v:?}"));
        seen.problems.extend(broken);
        let rest = AtRest::read(&self.place.data()).await;
        seen.problems
            .extend(outcome.tickets.iter().filter_map(|shown| rest.unkept(shown)));
        let shown = |state| outcome.tickets.iter().filter(|t| t.was_shown(state)).count();
        seen.promised = shown(TicketState::Reserved).max(shown(TicketState::Ordered));
        seen.paid = shown(TicketState::Paid);
        seen.retries = outcome.totals.retries;
    }
}
