//! The role `sidecar`: keeps some of the shards.

use super::config::{SidecarConfig, Told};
use super::ready::Ready;
use super::signals::Signals;
use super::{RoleError, admin, books};
use crate::admin::Admin;
use crate::control::{Api, Control};
use crate::link::{Listening, SidecarLink};
use crate::shards::{Keepers, RoomOptions, seats};
use crate::shared::Shared;
use crate::switches;
use flashsale_core::ids::ShardId;
use flashsale_core::owner::Phase;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Commands for other sidecars' shards that wait.
const ELSEWHERE_MAX: usize = 1_024;
/// How long keepers may take to end.
const END_MAX: Duration = Duration::from_secs(5);
/// How often it is looked whether the shards are open.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Keeps shards until told to end. To be run on a runtime of one thread.
///
/// # Errors
/// See [`RoleError`].
pub async fn sidecar(told: &Told<SidecarConfig>, ready_file: Option<&Path>) -> Result<(), RoleError> {
    let mut signals = Signals::listen()?;
    let config = &told.config;
    let prepared = books::sale(&config.sale)?;
    let sale = prepared.sale.clone();
    let own = told.shards("shards", &config.shards, sale.shards)?;
    let (key, tickets) = (told.link_key(&config.keys)?, told.ticket_key(&config.keys)?);
    let redis = told.redis(&config.redis)?;
    let (listener, admin_at) = admin::bind(told, config.admin).await?;
    let link = Listening::bind(config.link, key, sale.uid, &own).await;
    let link = link.map_err(|e| told.wrong("link", admin::in_use(config.link, &e)))?;
    let link_at = link.address().map_err(RoleError::failed)?;

    let shared = Arc::new(Shared::new(sale));
    let (seen, of) = (Arc::clone(&shared), own.clone());
    let mut admin = Admin::start(Arc::clone(&shared), None).ready_when(move || closed(&seen, &of));
    if config.control.is_some() {
        admin = admin.with_glass(&told.link_secret(&config.keys)?);
    }
    admin::serve(listener, admin);
    tokio::spawn(switches::keep(Arc::downgrade(&shared)));
    let control = control(config, &shared);
    let amended = control.as_ref().map(Control::amended);
    let (kept, seats) = seats(&own);
    let side = SidecarLink::new(Arc::clone(&shared), kept, amended);
    // From here on others hear of switches, whatever else is away.
    let mut linked = Box::pin(async {
        tokio::select! {
            () = link.serve(async |caller, from, to| side.talk(caller, from, to).await) => Ok(()),
            failed = watch(control) => Err(failed),
        }
    });
    let open = async {
        let orders = books::orders(told, &config.databases, &prepared, tickets).await?;
        let (service, names) = books::log(told, &config.pulsar, &shared.sale).await?;
        Ok::<_, RoleError>((orders, service, names))
    };
    let (orders, service, names) = tokio::select! {
        opened = open => opened?,
        ended = &mut linked => return ended,
        () = signals.end() => return Ok(()),
    };
    let orders = Arc::new(orders);
    let room = RoomOptions {
        redis,
        service,
        names,
    };
    let (elsewhere, relayed) = mpsc::channel(ELSEWHERE_MAX);
    let mut keepers = Keepers::start(&room, seats, side.kept(), &shared, &orders, &elsewhere);
    let ready = async {
        while !closed(&shared, &own).is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let (link, admin) = (Some(link_at), Some(admin_at));
        let ready = Ready {
            link,
            admin,
            ..Ready::default()
        };
        let _until_the_end = ready.tell(ready_file)?;
        std::future::pending::<Result<(), RoleError>>().await
    };
    let ended = tokio::select! {
        ended = &mut linked => ended,
        () = side.relay(relayed) => Ok(()),
        failed = ready => failed,
        failed = keepers.failed() => Err(failed.map_or_else(
            || RoleError::Failed("a shard's keeper ended without a word: report this".into()),
            RoleError::from,
        )),
        () = signals.end() => Ok(()),
    };
    // Without anybody to command them the keepers end.
    drop(linked);
    drop(side);
    let _ = tokio::time::timeout(END_MAX, keepers.ended()).await;
    orders.close().await;
    ended
}

/// What a control sidecar does beside its shards.
fn control(config: &SidecarConfig, shared: &Arc<Shared>) -> Option<Control> {
    let place = config.control.clone()?;
    let api = Api {
        namespace: place.namespace,
        sale: place.sale,
        config_map: place.config_map,
        kubeconfig: place.kubeconfig,
        cache: place.cache,
    };
    Some(Control::new(Arc::clone(shared), api))
}

/// Ends only if the API can't be watched as things are configured.
async fn watch(control: Option<Control>) -> RoleError {
    match control {
        None => std::future::pending().await,
        Some(control) => match control.run().await {
            Ok(()) => std::future::pending().await,
            Err(why) => RoleError::Config(why),
        },
    }
}

/// The shards that aren't open.
fn closed(shared: &Shared, own: &[ShardId]) -> Vec<String> {
    let views = own.iter().map(|shard| (shard, shared.shards[shard.ix()].load()));
    let closed = views.filter(|(_, view)| view.phase != Phase::Open);
    closed
        .map(|(shard, view)| format!("shard {} is {:?}", shard.0, view.phase))
        .collect()
}
