//! The order worker and the process that tells the shop: one of each at a time.

use super::pod::{self, Place, RUN, SECRETS};
use super::{Component, Context, Template, selected, selector, template};
use crate::names::LINK_PORT;
use crate::observed::Kind;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{Container, PodSpec};

/// The order worker. It is applied once the stock may be loaded, since it loads it.
pub(super) fn worker(context: &Context<'_>, config: &str) -> Template {
    let resources = context
        .class
        .pods
        .as_ref()
        .and_then(|pods| pods.resources.as_ref());
    let given = resources.and_then(|all| all.worker.as_ref());
    let file = format!("{RUN}/worker.yaml");
    let mut container = pod::container(context, "worker", &[&file], pod::amounts(given, "100m", "512Mi"));
    container
        .ports
        .get_or_insert_default()
        .push(pod::port("link", LINK_PORT));
    let mut files = context.signing_files(&["link", "tickets"]);
    files.extend(context.database_files());
    files.extend(context.log_file());
    one(
        context,
        Component::Worker,
        &context.names.worker(),
        config,
        container,
        &files,
    )
}

/// What tells the shop of orders and payments.
pub(super) fn payments(context: &Context<'_>, config: &str) -> Template {
    let resources = context
        .class
        .pods
        .as_ref()
        .and_then(|pods| pods.resources.as_ref());
    let given = resources.and_then(|all| all.payments.as_ref());
    let file = format!("{RUN}/payments.yaml");
    let container = pod::container(context, "payments", &[&file], pod::amounts(given, "50m", "128Mi"));
    let mut files = context.signing_files(&["link", "tickets"]);
    files.push(context.payment_file());
    files.extend(context.database_files());
    one(
        context,
        Component::Payments,
        &context.names.payments(),
        config,
        container,
        &files,
    )
}

fn one(
    context: &Context<'_>,
    component: Component,
    name: &str,
    config: &str,
    mut container: Container,
    files: &[(String, String, String)],
) -> Template {
    container.volume_mounts = Some(vec![pod::mount("run", RUN), pod::mount("secrets", SECRETS)]);
    let pod_spec = PodSpec {
        termination_grace_period_seconds: Some(30),
        containers: vec![container],
        volumes: Some(vec![
            pod::config_map("run", &context.names.run()),
            pod::secret_files(files),
        ]),
        ..PodSpec::default()
    };
    let place = Place {
        component,
        room: None,
    };
    let spec = DeploymentSpec {
        replicas: Some(1),
        // Two at once would do everything twice, if safely.
        strategy: Some(DeploymentStrategy {
            type_: Some("Recreate".to_owned()),
            rolling_update: None,
        }),
        revision_history_limit: Some(1),
        selector: selector(selected(context.names, component, None)),
        template: pod::template(context, &place, config, pod_spec),
        ..DeploymentSpec::default()
    };
    let metadata = context.meta(name, Some(component));
    template(
        Kind::Deployment,
        name,
        &Deployment {
            metadata,
            spec: Some(spec),
            status: None,
        },
    )
}
