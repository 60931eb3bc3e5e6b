//! Who may talk to whom: nobody, but for what is listed here.

use super::{Component, Context, Labels, Template, pairs, selected, selector, template};
use crate::api::SALE_UID_LABEL;
use crate::names::{ADMIN_PORT, BUYERS_PORT, LINK_PORT, REDIS_PORT};
use crate::observed::Kind;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeSet;

/// Where brokers listen, whichever of them the service's address leads to.
const BROKER_PORTS: [u16; 2] = [6650, 6651];
/// Where API servers listen, before and behind their Service.
const API_PORTS: [u16; 2] = [443, 6443];
/// Where the shop and its keys are called.
const HTTPS_PORT: u16 = 443;
const DNS_PORT: u16 = 53;
/// The label by which a namespace whose pods may read metrics says so.
const METRICS_LABEL: &str = "flashsale.dev/metrics";

/// Everything is denied to the sale's pods; then buyers reach gateways, pods of the sale each other, and some of them
/// what lies outside. Outside are addresses that only names are known of, so ports are what is told apart.
pub(super) fn policies(context: &Context<'_>) -> Vec<Template> {
    let all = selector(pairs([(SALE_UID_LABEL, &context.names.uid)]));
    let deny = NetworkPolicySpec {
        pod_selector: Some(all.clone()),
        policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
        ..NetworkPolicySpec::default()
    };
    let buyers = NetworkPolicySpec {
        pod_selector: Some(selector(selected(context.names, Component::Gateway, None))),
        ingress: Some(vec![NetworkPolicyIngressRule {
            ports: Some(tcp([BUYERS_PORT])),
            from: None,
        }]),
        ..with_types(&["Ingress"])
    };
    let inside = NetworkPolicySpec {
        pod_selector: Some(all.clone()),
        ..inside(context)
    };
    let names = NetworkPolicySpec {
        pod_selector: Some(all),
        egress: Some(vec![out(vec![dns("UDP"), dns("TCP")])]),
        ..with_types(&["Egress"])
    };
    let mut policies = vec![
        ("deny", deny),
        ("buyers", buyers),
        ("inside", inside),
        ("dns", names),
    ];
    policies.extend(outside(context));
    policies
        .into_iter()
        .map(|(suffix, spec)| {
            let name = context.names.child(suffix);
            let policy = NetworkPolicy {
                metadata: context.meta(&name, None),
                spec: Some(spec),
            };
            template(Kind::NetworkPolicy, &name, &policy)
        })
        .collect()
}

fn with_types(types: &[&str]) -> NetworkPolicySpec {
    NetworkPolicySpec {
        policy_types: Some(types.iter().map(|kind| (*kind).to_owned()).collect()),
        ..NetworkPolicySpec::default()
    }
}

/// The sale's pods among each other; the operator and whoever scrapes metrics at the admin port.
fn inside(context: &Context<'_>) -> NetworkPolicySpec {
    let own = NetworkPolicyPeer {
        pod_selector: Some(selector(pairs([(SALE_UID_LABEL, &context.names.uid)]))),
        ..NetworkPolicyPeer::default()
    };
    let namespace = |labels: Labels| NetworkPolicyPeer {
        namespace_selector: Some(selector(labels)),
        ..NetworkPolicyPeer::default()
    };
    let operator = namespace(pairs([(
        "kubernetes.io/metadata.name",
        context.operator_namespace,
    )]));
    let metrics = namespace(pairs([(METRICS_LABEL, "true")]));
    let ports = || Some(tcp([LINK_PORT, REDIS_PORT]));
    NetworkPolicySpec {
        ingress: Some(vec![
            NetworkPolicyIngressRule {
                ports: ports(),
                from: Some(vec![own.clone()]),
            },
            // Its audit compares what each Redis holds with the log.
            NetworkPolicyIngressRule {
                ports: Some(tcp([REDIS_PORT])),
                from: Some(vec![operator.clone()]),
            },
            NetworkPolicyIngressRule {
                ports: Some(tcp([ADMIN_PORT])),
                from: Some(vec![operator.clone(), metrics]),
            },
        ]),
        egress: Some(vec![NetworkPolicyEgressRule {
            ports: ports(),
            to: Some(vec![own]),
        }]),
        ..with_types(&["Ingress", "Egress"])
    }
}

/// What each component needs outside of the sale.
fn outside(context: &Context<'_>) -> Vec<(&'static str, NetworkPolicySpec)> {
    let mut log: BTreeSet<u16> = BROKER_PORTS.into_iter().collect();
    log.extend(port_of(&context.class.order_log.pulsar.service_url));
    let databases: BTreeSet<u16> = context.database_ports.iter().copied().collect();
    let shop = [HTTPS_PORT];
    let egress = |component, ports: BTreeSet<u16>| NetworkPolicySpec {
        pod_selector: Some(selector(selected(context.names, component, None))),
        egress: Some(vec![out(tcp(ports.into_iter().map(i32::from)))]),
        ..with_types(&["Egress"])
    };
    let join = |sets: &[&BTreeSet<u16>]| {
        sets.iter()
            .flat_map(|set| set.iter().copied())
            .collect::<BTreeSet<u16>>()
    };
    let (shop, api) = (BTreeSet::from(shop), BTreeSet::from(API_PORTS));
    vec![
        ("gateway-out", egress(Component::Gateway, shop.clone())),
        (
            "shard-out",
            egress(Component::Shard, join(&[&log, &databases, &api])),
        ),
        ("worker-out", egress(Component::Worker, join(&[&log, &databases]))),
        (
            "payments-out",
            egress(Component::Payments, join(&[&shop, &databases])),
        ),
    ]
}

fn out(ports: Vec<NetworkPolicyPort>) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        ports: Some(ports),
        to: None,
    }
}

fn dns(protocol: &str) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(i32::from(DNS_PORT))),
        end_port: None,
    }
}

fn tcp(ports: impl IntoIterator<Item = i32>) -> Vec<NetworkPolicyPort> {
    let port = |port| NetworkPolicyPort {
        protocol: Some("TCP".to_owned()),
        port: Some(IntOrString::Int(port)),
        end_port: None,
    };
    ports.into_iter().map(port).collect()
}

/// The ports in an address such as `pulsar://a:6650,b:6650`.
fn port_of(url: &str) -> Vec<u16> {
    let hosts = url.split_once("://").map_or(url, |(_, rest)| rest);
    let hosts = hosts.split('/').next().unwrap_or_default();
    hosts
        .split(',')
        .filter_map(|host| host.rsplit_once(':')?.1.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::port_of;

    #[test]
    fn ports_are_read_from_an_address_with_several_hosts() {
        assert_eq!(port_of("pulsar+ssl://a:7000,b.example:7001/"), [7000, 7001]);
        assert_eq!(port_of("pulsar://broker"), [0_u16; 0]);
    }
}
