//! How buyers reach a sale.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::{
    patterns::{DNS_LABEL, DNS_SUBDOMAIN, OBJECT_NAME},
    selector,
};

/// How buyers reach a sale: at `<sale>.<domain>`, unless the sale names another host.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClassEntry {
    /// What takes buyers' calls.
    #[serde(rename = "type")]
    pub kind: EntryType,
    /// The domain, apart from the shop's own.
    #[schemars(length(max = 253), regex(pattern = DNS_SUBDOMAIN))]
    pub domain: String,
    /// For type `Gateway`, and needed there.
    pub gateway: Option<GatewayRef>,
    /// For type `Ingress`; left out, the cluster's default.
    #[schemars(length(max = 253), regex(pattern = OBJECT_NAME))]
    pub ingress_class_name: Option<String>,
    /// Annotations of the object that takes the calls, such as a certificate's issuer.
    #[serde(default)]
    #[schemars(schema_with = "selector::annotations")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Where the certificate comes from; left out, whoever runs the Gateway or Ingress has one.
    pub tls: Option<TlsSource>,
}

/// What takes buyers' calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EntryType {
    /// A Gateway of the Gateway API; each sale gets an HTTPRoute.
    Gateway,
    /// An Ingress for each sale.
    Ingress,
    /// A Service of type LoadBalancer for each sale.
    LoadBalancer,
}

/// A Gateway of the Gateway API.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRef {
    /// Its name.
    #[schemars(length(max = 253), regex(pattern = OBJECT_NAME))]
    pub name: String,
    /// Its namespace.
    #[schemars(length(max = 63), regex(pattern = DNS_LABEL))]
    pub namespace: String,
    /// The listener of it; left out, all that take the host.
    #[schemars(length(max = 253), regex(pattern = OBJECT_NAME))]
    pub section_name: Option<String>,
}

/// Where an entry's certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsSource {
    /// There is none: plain HTTP.
    None,
    /// An issuer makes it, told by the entry's annotations.
    Annotation,
    /// The sale names a Secret.
    Secret,
}
