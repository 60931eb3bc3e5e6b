//! Kinds that aren't watched: what is listed by the sale's label, and Secrets, which are read by name.

use super::children::child;
use super::phase;
use crate::memory::Memory;
use crate::operator::Operator;
use crate::secrets::{is_shared, texts, user_and_password, with_user};
use flashsale_operator_core::api::{FlashSale, FlashSaleClassSpec, Phase, SALE_UID_LABEL};
use flashsale_operator_core::names::Names;
use flashsale_operator_core::observed::{Child, Kind};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ListParams;
use kube::core::{DynamicObject, PartialObjectMeta};
use std::time::{Duration, Instant};

/// How old the list may be while objects come and go.
const CHANGING: Duration = Duration::from_secs(15);
/// The same while a sale runs.
const RESTING: Duration = Duration::from_secs(600);
/// What is listed.
const LISTED: [Kind; 5] = [
    Kind::ConfigMap,
    Kind::ServiceAccount,
    Kind::Role,
    Kind::RoleBinding,
    Kind::PersistentVolumeClaim,
];

/// Lists again, where the last list is too old.
pub(super) async fn refresh(
    operator: &Operator,
    memory: &mut Memory,
    sale: &FlashSale,
    class: Option<&FlashSaleClassSpec>,
) {
    let changing = sale.metadata.deletion_timestamp.is_some()
        || matches!(phase(sale), Phase::Provisioning | Phase::Settled | Phase::Failed);
    let age_max = if changing { CHANGING } else { RESTING };
    if memory.listed.is_some_and(|at| at.elapsed() < age_max) {
        return;
    }
    let names = Names::of(sale);
    let mut found = Vec::new();
    for kind in LISTED {
        match list(operator, kind, &names).await {
            Ok(some) => found.extend(some),
            Err(error) => {
                tracing::debug!(%kind, %error, "can't list");
                // What was known of this kind stays known.
                found.extend(
                    memory
                        .unwatched
                        .values()
                        .filter(|child| child.kind == kind)
                        .cloned(),
                );
            }
        }
    }
    for (name, database) in secret_names(class, &names) {
        found.extend(secret(operator, &names, &name, class.zip(database)).await);
    }
    memory.unwatched = found
        .into_iter()
        .map(|child| ((child.kind, child.name.clone()), child))
        .collect();
    memory.listed = Some(Instant::now());
}

async fn list(operator: &Operator, kind: Kind, names: &Names) -> Result<Vec<Child>, crate::hand::CallError> {
    let labelled = ListParams::default().labels(&format!("{SALE_UID_LABEL}={}", names.uid));
    let resource = crate::hand::resource(kind);
    let api: Api<PartialObjectMeta<DynamicObject>> =
        Api::namespaced_with(operator.hand.client.clone(), &names.namespace, &resource);
    let objects = operator.hand.read(api.list(&labelled)).await?;
    Ok(objects
        .items
        .iter()
        .map(|object| child(kind, &object.metadata))
        .collect())
}

/// Secrets can't be listed: what a sale's are called follows from its name, and from its class' databases.
fn secret_names<'c>(class: Option<&'c FlashSaleClassSpec>, names: &Names) -> Vec<(String, Option<&'c str>)> {
    let mut all: Vec<_> = ["signing", "redis", "orderlog"]
        .map(|suffix| (names.child(suffix), None))
        .to_vec();
    let databases = class.into_iter().flat_map(|class| &class.databases).enumerate();
    all.extend(
        databases.map(|(index, database)| (names.database_secret(index), Some(database.name.as_str()))),
    );
    all
}

/// A Secret of the sale; with the class and the name of its database that it holds the address of.
async fn secret(
    operator: &Operator,
    names: &Names,
    name: &str,
    of: Option<(&FlashSaleClassSpec, &str)>,
) -> Option<Child> {
    let api: Api<Secret> = Api::namespaced(operator.hand.client.clone(), &names.namespace);
    let found = operator.hand.read(api.get_opt(name)).await.ok()??;
    if crate::cache::label(&found.metadata, SALE_UID_LABEL) != Some(names.uid.as_str()) {
        return None;
    }
    let mut child = child(Kind::Secret, &found.metadata);
    if let Some((class, database)) = of {
        child.current = is_current(operator, &found, class, database).await;
    }
    Some(child)
}

/// Whether an address still is what the class' own makes of it. While that can't be read, it is.
async fn is_current(operator: &Operator, found: &Secret, class: &FlashSaleClassSpec, database: &str) -> bool {
    let kept = texts(found).remove("url");
    let Some(kept) = kept else { return false };
    let secrets = &operator.world.secrets;
    if is_shared(class) {
        let wanted = secrets.shared_database_url(class, database).await;
        return wanted.is_ok_and(|wanted| wanted == kept);
    }
    let (Ok(admin), Some((user, password))) = (
        secrets.database_url(class, database).await,
        user_and_password(kept.reveal()),
    ) else {
        return true;
    };
    with_user(admin.reveal(), user, password).is_none_or(|wanted| wanted == kept.reveal())
}
