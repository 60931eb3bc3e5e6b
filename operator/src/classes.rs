//! FlashSaleClasses: whether what they name can be used.

use crate::observe::{class_of, is_over};
use crate::operator::Operator;
use crate::queue::Again;
use crate::status;
use crate::world::now_ms;
use flashsale_crds::objects::CONTROLLER_NAME;
use flashsale_operator_core::api::{
    Condition, ConditionStatus, FlashSaleClass, FlashSaleClassSpec, FlashSaleClassStatus, set_condition,
};
use flashsale_operator_core::timestamp;
use flashsale_orders::Steward;
use kube::Api;
use std::time::Duration;

/// How often a class is looked at that is fine.
const FINE: Duration = Duration::from_secs(600);
/// The same for one that isn't.
const TROUBLED: Duration = Duration::from_secs(30);
/// How long each server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Why a class can't be used now.
struct Trouble {
    reason: &'static str,
    message: String,
}

/// Looks at the class of this name.
pub(crate) async fn look(operator: &Operator, name: &str) -> Again {
    let key = crate::cache::Key {
        namespace: String::new(),
        name: name.to_owned(),
    };
    let Some(class) = operator.caches.classes.get(&key) else {
        return Again::Never;
    };
    let controller = class.spec.controller_name.as_deref().unwrap_or(CONTROLLER_NAME);
    if controller != operator.settings.controller_name {
        return Again::Never;
    }
    let trouble = trouble(operator, &class.spec).await;
    let new = judged(operator, &class, trouble.as_ref());
    let api: Api<FlashSaleClass> = Api::all(operator.hand.client.clone());
    let version = class.metadata.resource_version.clone().unwrap_or_default();
    let states = (status::value(class.status.as_ref()), status::value(Some(&new)));
    match status::write(&operator.hand, &api, name, &version, (&states.0, &states.1)).await {
        Ok(_) => Again::In(if trouble.is_some() { TROUBLED } else { FINE }),
        Err(error) if matches!(error.code(), Some(404 | 409)) => Again::In(Duration::from_millis(300)),
        Err(error) => {
            tracing::warn!(class = name, %error, "a class' status isn't written");
            Again::Failed
        }
    }
}

/// The first field of a class that this version does nothing with. Whoever sets it must not believe that it holds.
fn unserved(class: &FlashSaleClassSpec) -> Option<&'static str> {
    class.order_log.pulsar.ca_secret_ref.is_some().then_some(
        "spec.orderLog.pulsar.caSecretRef: a certificate authority of its own isn't trusted yet: leave it out, and give Pulsar a certificate of a public one",
    )
}

/// The first thing of a class that can't be used.
async fn trouble(operator: &Operator, class: &FlashSaleClassSpec) -> Option<Trouble> {
    let secrets = &operator.world.secrets;
    let missing = |e: crate::secrets::Missing| Trouble {
        reason: "SecretMissing",
        message: e.to_string(),
    };
    let unreachable = |message: String| Trouble {
        reason: "OrderLogUnreachable",
        message,
    };
    if let Some(message) = unserved(class) {
        return Some(Trouble {
            reason: "Unsupported",
            message: message.to_owned(),
        });
    }
    if let Err(error) = secrets.log_token(class).await {
        return Some(missing(error));
    }
    for database in &class.databases {
        let url = match secrets.database_url(class, &database.name).await {
            Ok(url) => url,
            Err(error) => return Some(missing(error)),
        };
        let connected = tokio::time::timeout(ANSWER_MAX, Steward::connect(url.reveal())).await;
        let why = match connected {
            Ok(Ok(steward)) => {
                steward.close().await;
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!(
                "database {} doesn't answer within {} s",
                database.name,
                ANSWER_MAX.as_secs()
            ),
        };
        return Some(Trouble {
            reason: "DatabaseUnreachable",
            message: why,
        });
    }
    let admin = match operator.world.log_admin(class).await {
        Ok(admin) => admin,
        Err(why) => return Some(unreachable(why)),
    };
    match tokio::time::timeout(ANSWER_MAX, admin.version()).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(unreachable(error.to_string())),
        Err(_) => Some(unreachable(format!(
            "{} doesn't answer within {} s",
            class.order_log.pulsar.admin_url,
            ANSWER_MAX.as_secs()
        ))),
    }
}

fn judged(operator: &Operator, class: &FlashSaleClass, trouble: Option<&Trouble>) -> FlashSaleClassStatus {
    let old = class.status.clone().unwrap_or_default();
    let classes: Vec<FlashSaleClass> = operator
        .caches
        .classes
        .all()
        .iter()
        .map(|class| FlashSaleClass::clone(class))
        .collect();
    let uses = |sale: &&std::sync::Arc<flashsale_operator_core::api::FlashSale>| {
        let used = class_of(sale, &classes).and_then(|class| class.metadata.name.as_ref());
        !is_over(sale) && used == class.metadata.name.as_ref()
    };
    let sales = operator.caches.sales.all().iter().filter(uses).count();
    let mut conditions = old.conditions;
    let condition = Condition {
        kind: "Ready".to_owned(),
        status: if trouble.is_none() {
            ConditionStatus::True
        } else {
            ConditionStatus::False
        },
        observed_generation: class.metadata.generation,
        last_transition_time: timestamp(now_ms()),
        reason: trouble.map_or("Reachable", |trouble| trouble.reason).to_owned(),
        message: trouble.map_or_else(
            || "its Secrets are there, and the order log and all databases answer".to_owned(),
            |trouble| trouble.message.clone(),
        ),
    };
    let accepted = Condition {
        kind: "Accepted".to_owned(),
        status: ConditionStatus::True,
        reason: "Accepted".to_owned(),
        message: "this operator looks after its sales".to_owned(),
        ..condition.clone()
    };
    set_condition(&mut conditions, accepted);
    set_condition(&mut conditions, condition);
    FlashSaleClassStatus {
        observed_generation: class.metadata.generation,
        sales: i32::try_from(sales).ok(),
        conditions,
    }
}
