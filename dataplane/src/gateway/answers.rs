//! Answers rendered ahead, for those that are given again and again.

use super::pages::Pages;
use super::problem::Problem;
use super::sale_view;
use crate::shared::Shared;
use flashsale_core::ids::Millis;
use flashsale_http::{Prepared, Reply};
use std::cell::RefCell;
use std::sync::Arc;

/// The public sale is rendered anew at most so often.
const SALE_RENDERED_MS: Millis = 250;
/// While only pages made ahead are to be served, so often.
const SALE_RENDERED_STATIC_MS: Millis = 10_000;
/// "Not open yet" is rendered anew at most so often.
const NOT_OPEN_RENDERED_MS: Millis = 1_000;
/// And within the last ten seconds so often, as its waiting time is taken at its word.
const NOT_OPEN_RENDERED_LATE_MS: Millis = 50;
const LATE_MS: Millis = 10_000;

/// An answer with the time for which it was rendered.
type Dated = RefCell<Option<(Millis, Arc<Prepared>)>>;

/// The prepared answers of one thread.
pub(super) struct Answers {
    sold_out: Arc<Prepared>,
    switched_sold_out: Arc<Prepared>,
    paused: Arc<Prepared>,
    sale_closed: Arc<Prepared>,
    busy: Arc<Prepared>,
    too_many: Arc<Prepared>,
    pub(super) pages: Pages,
    not_open: Dated,
    sale: Dated,
}

impl Answers {
    pub(super) fn new() -> Self {
        let prepared = |problem: Problem| Arc::new(Prepared::new(problem.response()));
        Self {
            sold_out: prepared(Problem::SoldOut),
            switched_sold_out: prepared(Problem::SwitchedSoldOut),
            paused: prepared(Problem::SalePaused),
            sale_closed: prepared(Problem::SaleClosed),
            busy: prepared(Problem::Busy),
            too_many: prepared(Problem::TooManyRequests { wait_seconds: 1 }),
            pages: Pages::new(),
            not_open: RefCell::default(),
            sale: RefCell::default(),
        }
    }

    /// The answer that says no.
    pub(super) fn refuse(&self, problem: &Problem) -> Reply {
        match problem {
            Problem::SoldOut => self.sold_out.clone().into(),
            Problem::SwitchedSoldOut => self.switched_sold_out.clone().into(),
            Problem::SalePaused => self.paused.clone().into(),
            Problem::SaleClosed => self.sale_closed.clone().into(),
            Problem::Busy => self.busy.clone().into(),
            Problem::TooManyRequests { wait_seconds: 0..=1 } => self.too_many.clone().into(),
            Problem::NotOpen { opens, now } => {
                let every = if opens.saturating_sub(*now) < LATE_MS {
                    NOT_OPEN_RENDERED_LATE_MS
                } else {
                    NOT_OPEN_RENDERED_MS
                };
                kept(&self.not_open, *now, every, || problem.response().into()).into()
            }
            other => other.response().into(),
        }
    }

    /// The public sale.
    pub(super) fn sale(&self, shared: &Shared, now: Millis) -> Reply {
        let every = if shared.switches.door().only_static() {
            SALE_RENDERED_STATIC_MS
        } else {
            SALE_RENDERED_MS
        };
        kept(&self.sale, now, every, || sale_view::response(shared, now).into()).into()
    }
}

/// What was rendered, if that was less than `every` milliseconds ago; else it is rendered anew.
fn kept(dated: &Dated, now: Millis, every: Millis, render: impl FnOnce() -> Prepared) -> Arc<Prepared> {
    let mut dated = dated.borrow_mut();
    match &*dated {
        Some((at, prepared)) if now.abs_diff(*at) < every => prepared.clone(),
        _ => {
            let prepared = Arc::new(render());
            *dated = Some((now, prepared.clone()));
            prepared
        }
    }
}
