//! Each protocol rule, left out alone, breaks a promise; with it, the same model holds.

use flashsale_model::broken::Broken;
use flashsale_model::config::Config;
use flashsale_model::models::{bypass, orders, takeover, transfer};
use flashsale_model::search::explore;

/// More than any of these needs.
const STATES_MAX: usize = 3_000_000;

/// In no state: no fingerprint but 0 divides by it.
const NEVER: u64 = u64::MAX;

fn breaks(broken: Broken, mut config: Config) {
    config.recover_every = 1;
    let whole = explore(&config, STATES_MAX);
    assert!(whole.violation.is_none(), "with the rule: {:?}", whole.violation);
    config.broken = Some(broken);
    // What breaks in a state says more than what recovery from a state finds broken.
    let found = [NEVER, 1].into_iter().find_map(|recover_every| {
        config.recover_every = recover_every;
        explore(&config, STATES_MAX).violation
    });
    let Some((problem, way)) = found else {
        panic!("{broken:?} breaks nothing within these bounds");
    };
    println!("{broken:?}: {} steps, then: {problem}", way.len());
    for step in &way {
        println!("    {step}");
    }
    assert!(!way.is_empty(), "{broken:?} breaks the very start: no way to it");
}

fn lagging(buyers: usize, units: u32, takeovers: u8) -> Config {
    let mut config = takeover(buyers, units, takeovers);
    config.lag = true;
    config
}

macro_rules! variants {
    ($($name:ident: $broken:ident in $config:expr;)*) => {
        $(#[test] fn $name() { breaks(Broken::$broken, $config); })*
    };
}

variants! {
    promising_upon_a_receipt_breaks_a_promise: PromiseOnReceipt in lagging(2, 1, 1);
    an_owner_that_ignores_barriers_breaks_a_promise: BarrierIgnored in lagging(2, 1, 1);
    a_restart_in_the_same_epoch_breaks_a_promise: SameEpochAgain in takeover(2, 2, 1);
    a_claim_without_comparing_breaks_a_promise: ClaimWithoutCompare in bypass(2, 1, 2, 1);
    reading_the_medium_before_the_claim_breaks_a_promise: MediumReadBefore in bypass(2, 1, 1, 1);
    committing_without_the_claim_breaks_a_promise: CommitWithoutClaim in bypass(2, 1, 1, 1);
    applying_whatever_the_epoch_breaks_a_promise: ApplyWithoutEpoch in bypass(2, 1, 1, 1);
    applying_in_bypass_breaks_a_promise: ApplyInBypass in bypass(2, 1, 1, 1);
    entering_bypass_before_all_is_applied_breaks_a_promise: EnterWithoutApplied in bypass(2, 1, 1, 1);
    promising_while_entering_bypass_breaks_a_promise: PromiseWhileEntering in bypass(2, 1, 1, 1);
    a_base_of_what_is_applied_breaks_a_promise: BaseIsApplied in bypass(2, 1, 1, 1);
    a_base_of_all_the_log_has_breaks_a_promise: BaseIsFold in bypass(2, 1, 1, 1);
    leaving_bypass_without_copies_breaks_a_promise: LeaveWithoutCopies in bypass(2, 1, 1, 1);
    a_release_forgotten_once_taken_loses_a_unit: ReleaseForgotten in orders(1, 1, 1, 1);
    a_release_of_a_unit_instead_of_a_ticket_takes_it_from_another: ReleaseByUnit in orders(2, 1, 1, 1);
    closing_what_was_pending_a_while_ago_closes_a_paid_order: CloseWithoutCompare in orders(1, 1, 0, 1);
    a_transfer_taken_twice_doubles_a_unit: TransferTwice in transfer(&[0, 1], 0, 1);
    a_transfer_sent_before_it_is_promised_doubles_a_unit: TransferBeforePromise in transfer(&[0, 1], 1, 1);
    a_transfer_acknowledged_before_it_is_promised_is_lost: AckBeforePromise in transfer(&[0, 1], 1, 1);
}
