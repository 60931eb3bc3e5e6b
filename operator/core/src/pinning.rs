//! When a sale is rendered anew, when it is amended, and when it stays as it is.

use crate::amend::{self, Amended, Amendments, Standing, amend};
use crate::api::{Cancellation, FlashSaleSpec, LockLevel, Phase, UnpaidOrders};
use crate::drive;
use crate::pinned::{Ground, OWNER, Pin, Sized};
use crate::view::View;

/// What is to become of a sale's pin.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pinning {
    /// The next revision, if there is to be one.
    pub(crate) new: Option<(i64, Pin)>,
    /// What of the spec comes too late.
    pub(crate) refused: Vec<String>,
    /// Whether this operator would render the sale otherwise, and may not now.
    pub(crate) upgrade_pending: bool,
    /// Whether the objects themselves change, not only the amendments.
    pub(crate) is_rendered_anew: bool,
}

/// Decides; nothing to do before the first lock, and after the end. `called_off`: the data plane is to stay closed for good.
pub(crate) fn pinning(view: &View<'_>, called_off: Option<&Cancellation>) -> Pinning {
    let Ok(basis) = &view.basis else {
        return Pinning::default();
    };
    let names = &view.names;
    let Some(ports) = database_ports(view) else {
        return Pinning::default();
    };
    let ground = |class_spec, class, ports| Ground {
        names,
        settings: &view.seen.settings,
        class,
        class_spec,
        database_ports: ports,
    };
    match &view.pin {
        None if view.state.level == LockLevel::Pending || is_over(view) => Pinning::default(),
        None => {
            let ground = ground(&basis.class_spec, &basis.class, &ports);
            let pin = Pin::new(&ground, view.spec, &basis.sized, view.generation);
            Pinning {
                new: Some((OWNER, pin)),
                is_rendered_anew: true,
                ..Pinning::default()
            }
        }
        Some((number, pin)) => {
            let ground = ground(&pin.class_spec, &pin.class, &pin.database_ports);
            again(view, &ground, (*number, pin), &basis.sized, called_off)
        }
    }
}

/// Whether nothing will be made for the sale any more.
pub(crate) fn is_over(view: &View<'_>) -> bool {
    matches!(view.state.phase, Phase::Settled | Phase::Failed)
}

/// The ports of the databases, once all are known.
fn database_ports(view: &View<'_>) -> Option<Vec<u16>> {
    let all = &view.seen.world.databases.each;
    if all.is_empty() && view.pin.is_none() {
        return None;
    }
    let mut ports = all
        .iter()
        .map(|database| database.port)
        .collect::<Option<Vec<u16>>>()
        .unwrap_or_default();
    if ports.is_empty() && view.pin.is_none() {
        return None;
    }
    ports.sort_unstable();
    ports.dedup();
    Some(ports)
}

fn again(
    view: &View<'_>,
    ground: &Ground<'_>,
    (number, pin): (i64, &Pin),
    wanted: &Sized,
    called_off: Option<&Cancellation>,
) -> Pinning {
    let level = view.state.level;
    let Ok(base) = pin.declared() else {
        return Pinning {
            refused: vec!["the pinned sale can't be read: restore its ControllerRevision".to_owned()],
            ..Pinning::default()
        };
    };
    let mut pinning = Pinning::default();
    let is_frozen = view.now >= view.open_ms().saturating_sub(view.policy.freeze_before);
    // Without anything loaded nobody is owed anything: what is asked for is what is made.
    if level < LockLevel::Loading {
        let is_changed = amend::digest(&wanted.declared, level) != amend::digest(&base, level);
        if !is_changed && is_same_operator(ground, pin) {
            return pinning;
        }
        let fresh = Pin::new(ground, view.spec, wanted, view.generation);
        let is_newer = fresh.templates_digest() != pin.templates_digest();
        if is_changed || is_newer && !is_frozen {
            pinning.new = Some((number + 1, fresh));
            pinning.is_rendered_anew = true;
        }
        pinning.upgrade_pending = is_newer && is_frozen && !is_changed;
        return pinning;
    }
    if is_over(view) {
        return pinning;
    }
    let standing = Standing {
        level,
        generation: view.generation,
        now: view.now,
    };
    let Amended { amendments, refused } =
        amend(&pin.amendments, &base, &wanted.declared, called_off, standing);
    let may_render = level < LockLevel::Armed && !is_frozen && amendments.cancellation.is_none();
    let is_changed = amend::digest(&wanted.declared, level) != amend::digest(&base, level);
    let kept = if may_render {
        kept_loaded(view.spec, &pin.spec)
    } else {
        pin.spec.clone()
    };
    let is_same = !(may_render && is_changed) && is_same_operator(ground, pin);
    let fresh = if is_same {
        None
    } else {
        render(ground, view, &kept, pin, &amendments)
    };
    let is_newer = fresh
        .as_ref()
        .is_some_and(|fresh| fresh.templates_digest() != pin.templates_digest());
    if may_render && (is_changed || is_newer) {
        pinning.new = fresh.map(|fresh| (number + 1, fresh));
        pinning.is_rendered_anew = pinning.new.is_some();
        return pinning;
    }
    if amendments != pin.amendments {
        pinning.new = Some((number + 1, pin.amended(amendments, view.generation)));
    }
    pinning.refused = refused;
    pinning.upgrade_pending = is_newer;
    pinning
}

/// Whether an operator of this version, told the same, has rendered the pin: then it would render the same again.
fn is_same_operator(ground: &Ground<'_>, pin: &Pin) -> bool {
    let (image, redis_image) = crate::pinned::images(ground);
    pin.operator_version == ground.settings.operator_version
        && pin.image == image
        && pin.redis_image == redis_image
        && pin.trusted_proxies == ground.settings.trusted_proxies
}

/// The pin rendered by this operator, shards and rooms as they were.
fn render(
    ground: &Ground<'_>,
    view: &View<'_>,
    spec: &FlashSaleSpec,
    pin: &Pin,
    amendments: &Amendments,
) -> Option<Pin> {
    let mut spec = spec.clone();
    let plane = spec.data_plane.get_or_insert_default();
    plane.shards = Some(i32::from(pin.sizes.shards));
    let mut sized = crate::pinned::sized(&spec, ground.class_spec).ok()?;
    sized.sizes = pin.sizes.clone();
    // As it was said at first, so that the pin doesn't grow a field that nobody set.
    spec.data_plane.clone_from(&pin.spec.data_plane);
    let fresh = Pin::new(ground, &spec, &sized, view.generation);
    Some(Pin {
        amendments: amendments.clone(),
        ..fresh
    })
}

/// What is asked for now, with stock, end and rate as they were when the stock was loaded: those are amended.
fn kept_loaded(asked: &FlashSaleSpec, pinned: &FlashSaleSpec) -> FlashSaleSpec {
    let mut spec = asked.clone();
    spec.close_time = pinned.close_time;
    spec.data_plane.clone_from(&pinned.data_plane);
    let rate = pinned.orders.as_ref().and_then(|orders| orders.rate_per_minute);
    if let Some(orders) = &mut spec.orders {
        orders.rate_per_minute = rate;
    } else if rate.is_some() {
        spec.orders.get_or_insert_default().rate_per_minute = rate;
    }
    for item in spec.items.iter_mut().flatten() {
        let was = pinned.items.iter().flatten().find(|was| was.id == item.id);
        item.stock = was.map_or(item.stock, |was| was.stock);
    }
    spec
}

/// Why a sale is called off: its owner's words, or ours.
pub(crate) fn cancellation(view: &View<'_>) -> Cancellation {
    let reason = |reason: &str, unpaid_orders| Cancellation {
        reason: reason.to_owned(),
        unpaid_orders,
    };
    match &view.spec.cancellation {
        Some(own) => own.clone(),
        None if drive::is_going(view) => reason("The sale was withdrawn.", UnpaidOrders::Honor),
        None => reason("The sale could not be opened in time.", UnpaidOrders::Close),
    }
}
