//! The role `payments`: tells the shop.

use super::config::{PaymentsConfig, Told};
use super::ready::Ready;
use super::signals::Signals;
use super::{RoleError, admin, books};
use crate::admin::Admin;
use crate::link::{Dial, Role, SwitchesLink, keep};
use crate::shared::Shared;
use crate::switches;
use crate::worker::Delivery;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};

/// How long messages that are under way may take.
const END_MAX: Duration = Duration::from_secs(10);

/// Delivers the local message table's messages until told to end.
///
/// # Errors
/// See [`RoleError`].
pub async fn payments(told: &Told<PaymentsConfig>, ready_file: Option<&Path>) -> Result<(), RoleError> {
    LocalSet::new().run_until(run(told, ready_file)).await
}

async fn run(told: &Told<PaymentsConfig>, ready_file: Option<&Path>) -> Result<(), RoleError> {
    let mut signals = Signals::listen()?;
    let config = &told.config;
    let prepared = books::sale(&config.sale)?;
    let (tickets, secret) = (told.ticket_key(&config.keys)?, told.payment_key(&config.keys)?);
    let (listener, admin_at) = admin::bind(told, config.admin).await?;
    let shared = Arc::new(Shared::new(prepared.sale.clone()));
    listen(told, &shared)?;
    let open = Arc::new(AtomicBool::new(false));
    let is_open = Arc::clone(&open);
    let missing = move || match is_open.load(Ordering::Acquire) {
        true => Vec::new(),
        false => vec!["the order databases aren't open yet".to_owned()],
    };
    admin::serve(
        listener,
        Admin::start(Arc::clone(&shared), None).ready_when(missing),
    );
    let orders = tokio::select! {
        opened = books::orders(told, &config.databases, &prepared, tickets) => Arc::new(opened?),
        () = signals.end() => return Ok(()),
    };
    open.store(true, Ordering::Release);
    let ready = Ready {
        admin: Some(admin_at),
        ..Ready::default()
    };
    let _until_the_end = ready.tell(ready_file)?;
    let (stop, stopped) = watch::channel(false);
    let delivery = Delivery::new(Arc::clone(&orders), shared, crate::shop::client(), secret.into());
    let delivering = tokio::spawn(delivery.run(stopped));
    signals.end().await;
    stop.send_replace(true);
    // A message that is still under way then is sent again by the next process.
    let _ = tokio::time::timeout(END_MAX, delivering).await;
    orders.close().await;
    Ok(())
}

/// Hears of switches from the control sidecars.
fn listen(told: &Told<PaymentsConfig>, shared: &Arc<Shared>) -> Result<(), RoleError> {
    spawn_local(switches::keep(Arc::downgrade(shared)));
    let config = &told.config;
    if config.sidecars.is_empty() {
        return Ok(());
    }
    let key = told.link_key(&config.keys)?;
    for (ix, sidecar) in config.sidecars.iter().enumerate() {
        let field = format!("sidecars[{ix}].shards");
        let dial = Dial {
            address: sidecar.address.clone(),
            what: "sidecar",
            shards: told.shards(&field, &sidecar.shards, shared.sale.shards)?,
            role: Role::Payments,
            name: format!("payments-{}", std::process::id()),
            sale: shared.sale.uid,
            key: key.clone(),
            links: Arc::clone(&shared.links),
        };
        let shared = Arc::clone(shared);
        spawn_local(keep(dial, SwitchesLink { shared }));
    }
    Ok(())
}
