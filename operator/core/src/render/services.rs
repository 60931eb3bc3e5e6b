//! How processes find each other, and how many of them may be taken away at once.

use super::{Component, Context, Template, selected, selector, template};
use crate::names::{ADMIN_PORT, BUYERS_PORT, LINK_PORT, REDIS_PORT};
use crate::observed::Kind;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// A headless one for each room's shards, one for the gateways, one for the worker.
pub(super) fn services(context: &Context<'_>) -> Vec<Template> {
    let names = context.names;
    let mut all: Vec<Template> = Vec::new();
    for room in &context.sizes.rooms {
        let name = names.shards(&room.name);
        let service = Service {
            metadata: context.room_meta(&name, Component::Shard, &room.name),
            spec: Some(ServiceSpec {
                cluster_ip: Some("None".to_owned()),
                // Sidecars have to be found before their shards are open: that is when they are loaded.
                publish_not_ready_addresses: Some(true),
                selector: Some(selected(names, Component::Shard, Some(&room.name))),
                ports: Some(vec![
                    port("redis", REDIS_PORT),
                    port("link", LINK_PORT),
                    port("admin", ADMIN_PORT),
                ]),
                ..ServiceSpec::default()
            }),
            status: None,
        };
        all.push(template(Kind::Service, &name, &service));
    }
    let gateway = ServiceSpec {
        selector: Some(selected(names, Component::Gateway, None)),
        ports: Some(vec![port("buyers", BUYERS_PORT)]),
        ..ServiceSpec::default()
    };
    all.push(service(
        context,
        &names.gateway_service(),
        Component::Gateway,
        gateway,
    ));
    let worker = ServiceSpec {
        publish_not_ready_addresses: Some(true),
        selector: Some(selected(names, Component::Worker, None)),
        ports: Some(vec![port("link", LINK_PORT), port("admin", ADMIN_PORT)]),
        ..ServiceSpec::default()
    };
    all.push(service(context, &names.worker(), Component::Worker, worker));
    all
}

fn service(context: &Context<'_>, name: &str, component: Component, spec: ServiceSpec) -> Template {
    let metadata = context.meta(name, Some(component));
    template(
        Kind::Service,
        name,
        &Service {
            metadata,
            spec: Some(spec),
            status: None,
        },
    )
}

pub(super) fn port(name: &str, number: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number,
        target_port: Some(IntOrString::String(name.to_owned())),
        ..ServicePort::default()
    }
}

/// Nodes are emptied one pod at a time, of gateways and of shards, in each room.
pub(super) fn budgets(context: &Context<'_>) -> Vec<Template> {
    let names = context.names;
    let mut all = Vec::new();
    for room in &context.sizes.rooms {
        for (component, name) in [
            (Component::Shard, names.shards(&room.name)),
            (Component::Gateway, names.gateways(&room.name)),
        ] {
            let budget = PodDisruptionBudget {
                metadata: context.room_meta(&name, component, &room.name),
                spec: Some(PodDisruptionBudgetSpec {
                    max_unavailable: Some(IntOrString::Int(1)),
                    selector: Some(selector(selected(names, component, Some(&room.name)))),
                    unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
                    ..PodDisruptionBudgetSpec::default()
                }),
                status: None,
            };
            all.push(template(Kind::PodDisruptionBudget, &name, &budget));
        }
    }
    all
}
