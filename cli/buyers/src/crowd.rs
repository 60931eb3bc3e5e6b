//! A crowd from its plan to its outcome.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use tokio::sync::oneshot;

use crate::agent::Agent;
use crate::clock::Clock;
use crate::config::{CrowdConfig, CrowdError};
use crate::driver::{Ending, run};
use crate::history::History;
use crate::outcome::{BuyerCounts, Outcome, Part, TicketHistory, seconds_to};
use crate::plan::{Plan, Planner};
use crate::progress::Progress;
use crate::verify::{VIOLATIONS_MAX, check_all};
use crate::watch::Watch;
use crate::wire::write_key;

/// A crowd, planned and ready to come.
pub struct Crowd {
    config: Arc<CrowdConfig>,
    progress: Arc<Progress>,
    /// Per thread: its buyers' plans.
    plans: Vec<Vec<Plan>>,
}

/// Stops the threads when the caller loses interest.
struct StopOnDrop(Arc<Ending>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop.store(true, SeqCst);
    }
}

impl Crowd {
    /// Checks the configuration and draws every buyer's plan. Blocks for about 0.2 s per million buyers, and for
    /// longer by the number of shards if names must be found for a skew.
    ///
    /// # Errors
    /// [`CrowdError::Invalid`] names the field that cannot work; [`CrowdError::NoSuchHome`] a shard nobody lives on.
    pub fn new(config: CrowdConfig) -> Result<Self, CrowdError> {
        config.check()?;
        let ahead_ns = Clock::start(config.opens_at_ms).opening_ns;
        let plans = draw_plans(&config, ahead_ns)?;
        let progress = Arc::new(Progress::new(u64::from(config.buyers)));
        Ok(Self {
            config: Arc::new(config),
            progress,
            plans,
        })
    }

    /// The figures of this crowd, readable from any thread before, during and after the run.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Lets the crowd come; ends when every buyer has gone home, when `give_up_after` has passed, or soon (20 ms)
    /// after `stop` is ready. The buyers run on threads of their own; dropping the future stops them too.
    ///
    /// # Errors
    /// [`CrowdError::History`] if the history could not be written, [`CrowdError::Thread`] if a thread could not
    /// be started or died. Broken promises and failed buyers are no errors but part of the outcome.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<Outcome, CrowdError> {
        let clock = Clock::start(self.config.opens_at_ms);
        let ending = Arc::new(Ending::default());
        let _stop_on_drop = StopOnDrop(Arc::clone(&ending));
        let mut parts = self.start_threads(clock, &ending)?;
        let mut stop = pin!(stop);
        let mut stopped = false;
        let mut all = Part::default();
        let mut ended_ns = 0;
        for part in &mut parts {
            let part = loop {
                tokio::select! {
                    part = &mut *part => break part,
                    () = &mut stop, if !stopped => {
                        stopped = true;
                        ending.stop.store(true, SeqCst);
                    }
                }
            };
            ended_ns = clock.now_ns();
            all.add(part.map_err(|_| CrowdError::Thread("panicked".to_owned()))??);
        }
        Ok(self.outcome(all, clock, ended_ns))
    }

    fn start_threads(
        &self,
        clock: Clock,
        ending: &Arc<Ending>,
    ) -> Result<Vec<oneshot::Receiver<Result<Part, CrowdError>>>, CrowdError> {
        let config = &self.config;
        let watch = Arc::new(Watch::new(config.items.len()));
        let mut histories = match &config.history {
            Some(path) => History::create(path, config.threads).map_err(|source| CrowdError::History {
                path: path.clone(),
                source,
            })?,
            None => Vec::new(),
        };
        ending.busy.store(config.threads, SeqCst);
        let mut parts = Vec::new();
        for thread in 0..config.threads {
            let agent = Agent::new(
                config,
                (clock, &self.progress, &watch),
                (thread as u32, config.threads as u32), // At most 16.
                self.plans[thread].clone(),
                histories.pop(),
            );
            let connections = (config.connections + thread) / config.threads;
            let ending = Arc::clone(ending);
            let (tell, told) = oneshot::channel();
            std::thread::Builder::new()
                .name(format!("buyers-{thread}"))
                .spawn(move || {
                    let ran = run(agent, connections, &ending);
                    let part = ran.map_err(|e| CrowdError::Thread(format!("could not run: {e}")));
                    // Nobody listening means the caller has dropped the crowd.
                    let _ = tell.send(part.and_then(bring_home));
                })
                .map_err(|e| CrowdError::Thread(format!("could not be started: {e}")))?;
            parts.push(told);
        }
        Ok(parts)
    }

    fn outcome(&self, mut all: Part, clock: Clock, ended_ns: u64) -> Outcome {
        all.accepted_ns.sort_unstable();
        let from_all = check_all(&all.tickets, &self.config.items);
        self.progress.violations.fetch_add(from_all.len() as u64, Relaxed);
        all.violations.splice(0..0, from_all);
        all.violations.truncate(VIOLATIONS_MAX);
        let totals = self.progress.snapshot();
        let items = &self.config.items;
        let ids = items.iter().map(|i| i.id.clone());
        Outcome {
            seed: self.config.seed,
            buyers: BuyerCounts {
                total: totals.total,
                won: totals.won,
                sold_out: totals.sold_out,
                duplicate: totals.duplicate,
                limited: totals.limited,
                failed: totals.failed,
            },
            latency_ms: totals.latency_ms,
            seconds_to_sold_out: seconds_to(1.0, &all.accepted_ns, items, clock.opening_ns),
            seconds_to80_percent: seconds_to(0.8, &all.accepted_ns, items, clock.opening_ns),
            winners: ids
                .zip(all.winners.iter().copied().chain(std::iter::repeat(0)))
                .collect(),
            tickets: all.tickets,
            violations: all.violations,
            violations_total: totals.violations,
            unexpected: all.unexpected,
            totals,
            duration_seconds: ended_ns.saturating_sub(clock.opening_ns) as f64 / 1e9,
            client_cpu_seconds: all.cpu_seconds,
        }
    }
}

/// Each thread's plans, drawn in parallel.
fn draw_plans(config: &CrowdConfig, ahead_ns: u64) -> Result<Vec<Vec<Plan>>, CrowdError> {
    let planner = Planner::new(config, ahead_ns);
    let draw = |thread: usize| -> Result<Vec<Plan>, CrowdError> {
        (thread as u32..config.buyers)
            .step_by(config.threads)
            .map(|i| planner.plan(i))
            .collect()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..config.threads)
            .map(|thread| scope.spawn(move || draw(thread)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread
                .join()
                .unwrap_or_else(|_| Err(CrowdError::Thread("panicked while planning".to_owned())))
        };
        threads.into_iter().map(join).collect()
    })
}

/// What a thread's buyers bring home, with names in full.
fn bring_home(mut agent: Agent) -> Result<Part, CrowdError> {
    let tickets = (0..agent.tickets.len()).map(|i| history_of(&agent, i)).collect();
    if let Some(history) = agent.history.take() {
        let path = agent.config.history.clone().unwrap_or_default();
        history
            .finish()
            .map_err(|source| CrowdError::History { path, source })?;
    }
    Ok(Part {
        tickets,
        violations: agent.violations,
        unexpected: agent.unexpected,
        accepted_ns: agent.accepted_ns,
        winners: agent.winners,
        cpu_seconds: thread_cpu_seconds(),
    })
}

fn history_of(agent: &Agent, ticket: usize) -> TicketHistory {
    let ticket = &agent.tickets[ticket];
    let mut key = Vec::new();
    write_key(
        &mut key,
        agent.config.seed,
        agent.number(ticket.buyer),
        ticket.key,
    );
    let item = usize::from(agent.plans[ticket.buyer as usize].item);
    TicketHistory {
        buyer: agent.name_of(ticket.buyer),
        key: String::from_utf8_lossy(&key).into_owned(),
        ticket: ticket.token.to_string(),
        item: agent.config.items[item].id.clone(),
        order_id: ticket.order.as_ref().map(|o| o.id.clone()),
        states: ticket.states.to_vec(),
        sure_until_ns: ticket.sure_until_ns,
    }
}

/// CPU time of the calling thread, where Linux tells it.
fn thread_cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let ns: u64 = text.split_whitespace().next()?.parse().ok()?;
    Some(ns as f64 / 1e9)
}

impl Part {
    fn add(&mut self, other: Self) {
        self.tickets.extend(other.tickets);
        self.violations.extend(other.violations);
        for (what, count) in other.unexpected {
            *self.unexpected.entry(what).or_default() += count;
        }
        self.accepted_ns.extend(other.accepted_ns);
        self.winners
            .resize(self.winners.len().max(other.winners.len()), 0);
        for (sum, more) in self.winners.iter_mut().zip(other.winners) {
            *sum += more;
        }
        self.cpu_seconds = match (self.cpu_seconds, other.cpu_seconds) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
    }
}
