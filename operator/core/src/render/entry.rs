//! The way in: an HTTPRoute, an Ingress or a load balancer, by the class.

use super::services::port;
use super::{Component, Context, Template, selected, template};
use crate::api::{ClassEntry, EntryType, TlsSource};
use crate::names::BUYERS_PORT;
use crate::observed::Kind;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend,
    IngressSpec, IngressTLS, ServiceBackendPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

/// The object that takes buyers' calls.
pub(super) fn entry(context: &Context<'_>) -> Template {
    let name = context.names.child("entry");
    let entry = &context.class.entry;
    let metadata = ObjectMeta {
        annotations: entry.annotations.clone(),
        ..context.meta(&name, Some(Component::Entry))
    };
    match entry.kind {
        EntryType::Gateway => route(context, &name, &metadata),
        EntryType::Ingress => ingress(context, &name, metadata),
        EntryType::LoadBalancer => balancer(context, &name, metadata),
    }
}

/// Where buyers go.
#[must_use]
pub(crate) fn url(entry: &ClassEntry, host: &str) -> String {
    let plain = entry.kind == EntryType::LoadBalancer || entry.tls == Some(TlsSource::None);
    format!("{}://{host}", if plain { "http" } else { "https" })
}

fn route(context: &Context<'_>, name: &str, metadata: &ObjectMeta) -> Template {
    // The class' rules ask for a gateway where the type is Gateway.
    let parent = context.class.entry.gateway.as_ref().map(|gateway| {
        let mut parent = json!({
            "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway.name, "namespace": gateway.namespace,
        });
        if let Some(section) = &gateway.section_name {
            parent["sectionName"] = json!(section);
        }
        parent
    });
    let object = json!({
        "apiVersion": Kind::HttpRoute.api_version(),
        "kind": Kind::HttpRoute.as_str(),
        "metadata": metadata,
        "spec": {
            "hostnames": [context.host],
            "parentRefs": parent.into_iter().collect::<Vec<_>>(),
            "rules": [{
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{
                    "group": "", "kind": "Service", "name": context.names.gateway_service(), "port": BUYERS_PORT, "weight": 1,
                }],
            }],
        },
    });
    Template {
        kind: Kind::HttpRoute,
        name: name.to_owned(),
        object,
    }
}

fn ingress(context: &Context<'_>, name: &str, metadata: ObjectMeta) -> Template {
    let entry = &context.class.entry;
    let own = context
        .declared
        .spec
        .entry
        .as_ref()
        .and_then(|own| own.tls_secret_name.clone());
    let secret = match entry.tls {
        Some(TlsSource::None) | None => None,
        Some(TlsSource::Secret) => own,
        // An issuer puts the certificate there.
        Some(TlsSource::Annotation) => Some(own.unwrap_or_else(|| context.names.child("tls"))),
    };
    let hosts = Some(vec![context.host.to_owned()]);
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: context.names.gateway_service(),
            port: Some(ServiceBackendPort {
                number: Some(BUYERS_PORT),
                name: None,
            }),
        }),
        resource: None,
    };
    let path = HTTPIngressPath {
        path: Some("/".to_owned()),
        path_type: "Prefix".to_owned(),
        backend,
    };
    let spec = IngressSpec {
        ingress_class_name: entry.ingress_class_name.clone(),
        rules: Some(vec![IngressRule {
            host: Some(context.host.to_owned()),
            http: Some(HTTPIngressRuleValue { paths: vec![path] }),
        }]),
        tls: secret.map(|secret| {
            vec![IngressTLS {
                hosts,
                secret_name: Some(secret),
            }]
        }),
        default_backend: None,
    };
    template(
        Kind::Ingress,
        name,
        &Ingress {
            metadata,
            spec: Some(spec),
            status: None,
        },
    )
}

fn balancer(context: &Context<'_>, name: &str, metadata: ObjectMeta) -> Template {
    let spec = ServiceSpec {
        type_: Some("LoadBalancer".to_owned()),
        // Buyers' own addresses are what rate limits go by.
        external_traffic_policy: Some("Local".to_owned()),
        selector: Some(selected(context.names, Component::Gateway, None)),
        ports: Some(vec![ServicePort {
            port: 80,
            ..port("buyers", BUYERS_PORT)
        }]),
        ..ServiceSpec::default()
    };
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
