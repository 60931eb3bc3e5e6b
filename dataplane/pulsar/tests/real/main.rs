//! Everything against one real Pulsar, which takes longer to start than most of these cases to run: they run one
//! after the other, each with a sale of its own. Arguments: parts of the names of the cases to run.

mod faults;
mod letters;
mod log;
mod provisioning;
mod world;

use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use world::World;

/// No case may take longer: two restarts of the broker, as patiently as each is waited for.
const CASE_WITHIN: Duration = Duration::from_secs(400);

type Run = fn(Arc<World>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($name)), |world| Box::pin($module::$name(world)))),*]
    };
}

const CASES: &[(&str, Run)] = cases![
    log::what_is_appended_is_read_back_in_order_per_partition,
    log::a_reader_from_the_start_gets_everything_and_says_when,
    log::a_reader_goes_on_behind_a_given_record,
    log::a_full_queue_refuses_and_never_waits,
    log::what_was_taken_is_sent_before_the_log_closes,
    provisioning::what_is_missing_is_made_and_reads_back,
    provisioning::drift_is_repaired_and_said,
    provisioning::teardown_leaves_nothing_and_may_come_again,
    provisioning::errors_say_which_where_and_what_to_do,
    letters::a_hint_comes_when_its_deadline_has_come_and_the_others_after_it,
    letters::a_dead_letter_waits_until_it_is_replayed_and_done_with,
    letters::letters_posted_while_the_broker_restarts_arrive,
    faults::an_unloaded_topic_loses_nothing,
    faults::rebuilt_readers_and_publishers_leave_no_connections_behind,
    faults::a_broker_frozen_for_seconds_loses_nothing,
    faults::a_killed_broker_keeps_what_was_read_back_and_publishing_goes_on,
    faults::an_owner_that_resends_counts_each_event_once,
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let listing = std::env::args().any(|a| a == "--list");
    let chosen = |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.contains(w.as_str()));
    let chosen: Vec<_> = CASES.iter().filter(|(name, _)| chosen(name)).collect();
    if listing || chosen.is_empty() {
        chosen.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(
            std::env::var("RUST_LOG").unwrap_or_else(|_| "off".to_owned()),
        ))
        .with_ansi(false)
        .init();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let failed = runtime.block_on(run(&chosen));
    println!("\ntest result: {} passed; {failed} failed", chosen.len() - failed);
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn run(chosen: &[&(&str, Run)]) -> usize {
    let started = Instant::now();
    let world = Arc::new(World::start().await);
    println!("pulsar is up after {:.1?}", started.elapsed());
    let mut failed = 0;
    for (name, case) in chosen {
        let started = Instant::now();
        let mut task = tokio::spawn(case(Arc::clone(&world)));
        let verdict = match tokio::time::timeout(CASE_WITHIN, &mut task).await {
            Ok(Ok(())) => "ok",
            Ok(Err(_)) => "FAILED",
            Err(_) => {
                task.abort();
                "FAILED: took too long"
            }
        };
        failed += usize::from(verdict != "ok");
        println!("test {name} ... {verdict} ({:.1?})", started.elapsed());
    }
    failed
}
