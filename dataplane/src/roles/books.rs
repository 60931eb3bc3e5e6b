//! Opening what several processes use at once: the sale, the order databases, the log's topics.

use super::RoleError;
use super::config::{Place, PulsarPlace, Told};
use crate::data_dir::{DataDir, Overrides, Prepared};
use crate::embedded::{TENANT, described};
use crate::sale::Sale;
use flashsale_crds::EffectiveBuyers;
use flashsale_orders::{ErrorKind, Orders, TicketSecret};
use flashsale_pulsar::{Admin, AdminError, Layout, Names, Service};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// Between two tries.
const TRY_EVERY: Duration = Duration::from_millis(500);
/// Several processes that make the same thing at once can each see it half made: for so long that is tried again.
const MAKING_MAX: Duration = Duration::from_secs(15);

/// The sale in a directory. Processes that serve no buyers needn't know how buyers sign in.
pub(super) fn sale(dir: &Path) -> Result<Prepared, RoleError> {
    let overrides = Overrides {
        buyers: Some(EffectiveBuyers::development()),
        ..Overrides::default()
    };
    Ok(DataDir::new(dir).load(&overrides)?)
}

/// Opens the order databases, or makes them, waiting for servers that don't answer.
pub(super) async fn orders<T>(
    told: &Told<T>,
    databases: &[Place],
    prepared: &Prepared,
    ticket_key: [u8; 32],
) -> Result<Orders, RoleError> {
    let urls = told.urls("databases", databases)?;
    let targets: Vec<&str> = urls.iter().map(String::as_str).collect();
    let secret = TicketSecret(ticket_key);
    let spec = serde_json::Value::String(prepared.yaml.clone());
    let (since, mut said) = (Instant::now(), String::new());
    let orders = loop {
        let sale = described(&prepared.sale, spec.clone(), secret.clone());
        let error = match Orders::open_all(&targets, sale).await {
            Ok(orders) => break orders,
            Err(error) => error,
        };
        let making = matches!(error.kind(), ErrorKind::OtherSet | ErrorKind::Broken);
        if error.kind() == ErrorKind::Address {
            return Err(told.wrong("databases", error.to_string()).into());
        }
        let waits = error.kind().may_pass() || making && since.elapsed() < MAKING_MAX;
        if !waits {
            return Err(RoleError::failed(error));
        }
        wait(&mut said, &error.to_string()).await;
    };
    if *orders.ticket_secret() != secret {
        let what = "the sale's tickets are signed with another key, as its databases say: give the first one";
        return Err(told.wrong("keys.tickets", what).into());
    }
    Ok(orders)
}

/// Where the order log is; its topics are made if this process is told to.
pub(super) async fn log<T>(
    told: &Told<T>,
    pulsar: &PulsarPlace,
    sale: &Sale,
) -> Result<(Service, Names), RoleError> {
    let token = told.token(pulsar)?;
    let names = Names::new(pulsar.tenant.as_deref().unwrap_or(TENANT), sale.uid);
    if let Some(url) = &pulsar.admin {
        let admin = Admin::new(url, token.clone()).map_err(|e| told.wrong("pulsar.admin", e.to_string()))?;
        let layout = Layout {
            names: names.clone(),
            shards: sale.shards,
        };
        let (since, mut said) = (Instant::now(), String::new());
        while let Err(error) = admin.ensure(&layout).await {
            let down = matches!(error, AdminError::Unreachable { .. });
            if !down && since.elapsed() > MAKING_MAX {
                return Err(RoleError::failed(error));
            }
            wait(&mut said, &error.to_string()).await;
        }
    }
    Ok((Service::new(pulsar.url.clone(), token), names))
}

async fn wait(said: &mut String, why: &str) {
    // Said once, not at each try.
    if said != why {
        tracing::warn!(why, "waiting");
        why.clone_into(said);
    }
    tokio::time::sleep(TRY_EVERY).await;
}
