//! Rules of the FlashSaleClass.

use super::{Rule, buyers, formats, orders, within};

pub(super) fn rules() -> Vec<Rule> {
    [
        within("spec", [spec(), entry(), pods(), policies()].concat()),
        within("spec.allowedNamespaces.selector", selector()),
        within("spec.defaults.buyers", buyers::rules()),
        within("spec.defaults.orders", orders::rules()),
        formats::durations("spec", formats::CLASS_DURATIONS),
        formats::durations("spec.defaults", formats::SHARED_DURATIONS),
    ]
    .concat()
}

fn spec() -> Vec<Rule> {
    vec![
        Rule::new(
            "controller-fixed",
            "has(self.controllerName) == has(oldSelf.controllerName) && (!has(self.controllerName) || self.controllerName == oldSelf.controllerName)",
            "controllerName can't be changed; create a new FlashSaleClass",
        )
        .field(".controllerName")
        .forbidden(),
        Rule::new(
            "zones-differ",
            "self.all(room, self.exists_one(other, other.zone == room.zone))",
            "rooms name a zone twice; give each room a zone of its own",
        )
        .at("rooms"),
        Rule::new(
            "default-rooms-exist",
            "!has(self.defaults) || !has(self.defaults.dataPlane) || !has(self.defaults.dataPlane.rooms) || self.defaults.dataPlane.rooms.all(name, self.rooms.exists(room, room.name == name))",
            "defaults.dataPlane.rooms names a room that the class doesn't have; name some of its rooms, or remove the field for all",
        )
.field(".defaults.dataPlane.rooms"),
        Rule::new(
            "default-shards-within-limit",
            "!has(self.limits) || !has(self.limits.shards) || !has(self.defaults) || !has(self.defaults.dataPlane) || !has(self.defaults.dataPlane.shards) || self.defaults.dataPlane.shards <= self.limits.shards",
            "defaults.dataPlane.shards is above limits.shards; lower it, or raise the limit",
        )
        .field(".defaults.dataPlane.shards"),
        Rule::new(
            "default-gateways-within-limit",
            "!has(self.limits) || !has(self.limits.gateways) || !has(self.defaults) || !has(self.defaults.dataPlane) || !has(self.defaults.dataPlane.gateways) || !has(self.defaults.dataPlane.gateways.replicas) || self.defaults.dataPlane.gateways.replicas <= self.limits.gateways",
            "defaults.dataPlane.gateways.replicas is above limits.gateways; lower it, or raise the limit",
        )
        .field(".defaults.dataPlane.gateways.replicas"),
        Rule::new(
            "shared-secret-needed",
            "self.mode != 'Shared' || has(self.sharedSecretRef)",
            "credentials.sharedSecretRef is missing; mode Shared needs it: add sharedSecretRef: {name: …}",
        )
        .field(".sharedSecretRef")
        .required()
        .at("credentials"),
        Rule::new(
            "shared-secret-unwanted",
            "self.mode == 'Shared' || !has(self.sharedSecretRef)",
            "credentials.sharedSecretRef is only for mode Shared; remove it or set mode: Shared",
        )
        .field(".sharedSecretRef")
        .forbidden()
        .at("credentials"),
        Rule::new(
            "selector-needed",
            "self.from != 'Selector' || has(self.selector)",
            "allowedNamespaces.selector is missing; from: Selector needs it: add selector with matchLabels",
        )
        .field(".selector")
        .required()
        .at("allowedNamespaces"),
        Rule::new(
            "selector-unwanted",
            "self.from == 'Selector' || !has(self.selector)",
            "allowedNamespaces.selector is only for from: Selector; remove it or set from: Selector",
        )
        .field(".selector")
        .forbidden()
        .at("allowedNamespaces"),
    ]
}

fn entry() -> Vec<Rule> {
    let rules = vec![
        Rule::new(
            "gateway-needed",
            "self.type != 'Gateway' || has(self.gateway)",
            "entry.gateway is missing; type Gateway needs it: add gateway with name and namespace",
        )
        .field(".gateway")
        .required(),
        Rule::new(
            "gateway-unwanted",
            "self.type == 'Gateway' || !has(self.gateway)",
            "entry.gateway is only for type Gateway; remove it or set type: Gateway",
        )
        .field(".gateway")
        .forbidden(),
        Rule::new(
            "ingress-class-unwanted",
            "self.type == 'Ingress' || !has(self.ingressClassName)",
            "entry.ingressClassName is only for type Ingress; remove it or set type: Ingress",
        )
        .field(".ingressClassName")
        .forbidden(),
        Rule::new(
            "issuer-named",
            "!has(self.tls) || self.tls != 'Annotation' || has(self.annotations)",
            "entry.annotations is missing; tls: Annotation needs the annotation that names the certificate's issuer: add annotations",
        )
        .field(".annotations")
        .required(),
    ];
    within("entry", rules)
}

fn pods() -> Vec<Rule> {
    let reserved = |name: &'static str, place: &str| {
        Rule::new(
            name,
            "self.all(key, !key.startsWith('flashsale.dev/') && !key.startsWith('app.kubernetes.io/'))",
            format!("{place} sets a key of flashsale.dev/ or app.kubernetes.io/, which the operator sets; use a prefix of your own"),
        )
        .forbidden()
        .at(place)
    };
    vec![
        reserved("labels-free", "pods.labels"),
        reserved("annotations-free", "pods.annotations"),
        Rule::new(
            "toleration-value",
            "!has(self.operator) || self.operator != 'Exists' || !has(self.value)",
            "value of a toleration goes with operator Equal; remove it or set operator: Equal",
        )
        .field(".value")
        .forbidden()
        .at("pods.tolerations[]"),
        Rule::new(
            "toleration-key",
            "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            "key of a toleration is missing; add it, or set operator: Exists for every taint",
        )
        .field(".key")
        .required()
        .at("pods.tolerations[]"),
    ]
}

fn policies() -> Vec<Rule> {
    let rules = vec![
        Rule::new(
            "drill-age-unwanted",
            "!has(self.drillMaxAge) || (has(self.drill) && self.drill == 'Required')",
            "policies.drillMaxAge is only for drill: Required; remove it or set drill: Required",
        )
        .field(".drillMaxAge")
        .forbidden(),
        Rule::new(
            "grace-unwanted",
            "!has(self.lateOpeningGrace) || !has(self.lateOpening) || self.lateOpening == 'Open'",
            "policies.lateOpeningGrace is only for lateOpening: Open; remove it or set lateOpening: Open",
        )
        .field(".lateOpeningGrace")
        .forbidden(),
    ];
    within("policies", rules)
}

/// Rules of a label selector's conditions.
pub(super) fn selector() -> Vec<Rule> {
    vec![
        Rule::new(
            "values-needed",
            "!(self.operator in ['In', 'NotIn']) || (has(self.values) && self.values.size() > 0)",
            "values is missing; operator In and NotIn need it: add values",
        )
        .shows("'values of ' + self.key + ' is missing; operator ' + self.operator + ' needs it: add values'")
        .field(".values")
        .required()
        .at("matchExpressions[]"),
        Rule::new(
            "values-unwanted",
            "self.operator in ['In', 'NotIn'] || !has(self.values) || self.values.size() == 0",
            "values goes with operator In or NotIn; remove it or change the operator",
        )
        .shows("'values of ' + self.key + ' goes with operator In or NotIn, not ' + self.operator + '; remove it or change the operator'")
        .field(".values")
        .forbidden()
        .at("matchExpressions[]"),
    ]
}
