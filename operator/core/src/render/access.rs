//! What the control sidecars may do with the API server: watch switches and their own ConfigMap, and nothing else.

use super::{Component, Context, Template, template};
use crate::observed::Kind;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};

/// ServiceAccount, Role and RoleBinding.
pub(super) fn control(context: &Context<'_>) -> Vec<Template> {
    let name = context.names.child("control");
    let metadata = || context.meta(&name, Some(Component::Shard));
    let account = ServiceAccount {
        metadata: metadata(),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    let rule = |group: &str, resource: &str, only: Option<String>| PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        resource_names: only.map(|name| vec![name]),
        verbs: ["get", "list", "watch"].map(str::to_owned).to_vec(),
        ..PolicyRule::default()
    };
    let role = Role {
        metadata: metadata(),
        rules: Some(vec![
            rule("", "configmaps", Some(context.names.run())),
            rule("flashsale.dev", "flashsaleswitches", None),
        ]),
    };
    let binding = RoleBinding {
        metadata: metadata(),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: name.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: name.clone(),
            namespace: Some(context.names.namespace.clone()),
            api_group: None,
        }]),
    };
    vec![
        template(Kind::ServiceAccount, &name, &account),
        template(Kind::Role, &name, &role),
        template(Kind::RoleBinding, &name, &binding),
    ]
}
