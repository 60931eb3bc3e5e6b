//! What all pods of a sale have in common: restricted security, the files that they are told things by, health.

use super::{Component, Context, Labels, ROOM_LABEL, labels, selected, selector};
use crate::api::{Amounts, HASH_ANNOTATION};
use crate::names::ADMIN_PORT;
use crate::sizing::RoomSize;
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource,
    HTTPGetAction, KeyToPath, LocalObjectReference, NodeAffinity, NodeSelector, NodeSelectorRequirement,
    NodeSelectorTerm, PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ProjectedVolumeSource,
    ResourceRequirements, SeccompProfile, SecretProjection, SecurityContext, Toleration,
    TopologySpreadConstraint, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

/// Nobody's user: the image has nothing that it could write to.
const USER: i64 = 65_532;
/// The folder with the sale and the roles' files.
pub(super) const RUN: &str = "/etc/flashsale/run";
/// The folder with the Secrets.
pub(super) const SECRETS: &str = "/etc/flashsale/secrets";
/// The folder with the keys of the shop's tokens, where a ConfigMap has them.
pub(super) const JWKS: &str = "/etc/flashsale/jwks";
/// The folder with the shop's own pages.
pub(super) const PAGES: &str = "/etc/flashsale/pages";
/// A folder of the pod's own, gone with it.
pub(super) const STATE: &str = "/var/lib/flashsale";

/// A container of the data plane.
pub(super) fn container(
    context: &Context<'_>,
    role: &str,
    args: &[&str],
    amounts: ResourceRequirements,
) -> Container {
    let mut all = vec![role.to_owned(), "--config".to_owned()];
    all.extend(args.iter().map(|arg| (*arg).to_owned()));
    Container {
        name: role.to_owned(),
        image: Some(context.image.to_owned()),
        args: Some(all),
        ports: Some(vec![port("admin", ADMIN_PORT)]),
        readiness_probe: Some(Probe {
            period_seconds: Some(2),
            failure_threshold: Some(2),
            ..http("/readyz")
        }),
        liveness_probe: Some(Probe {
            period_seconds: Some(10),
            failure_threshold: Some(6),
            ..http("/healthz")
        }),
        resources: Some(amounts),
        security_context: Some(locked_down()),
        ..Container::default()
    }
}

fn http(path: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("admin".to_owned()),
            ..HTTPGetAction::default()
        }),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}

pub(super) fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        ..ContainerPort::default()
    }
}

/// What the restricted level of Pod Security asks of a container, and a root file system that can't be written to.
pub(super) fn locked_down() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        ..SecurityContext::default()
    }
}

/// Processor time and memory: as the class says, else these. Memory is a limit, too; processor time is not, since a
/// throttled process is a slow one.
pub(super) fn amounts(given: Option<&Amounts>, cpu: &str, memory: &str) -> ResourceRequirements {
    let or =
        |given: Option<&String>, default: &str| Quantity(given.map_or(default, String::as_str).to_owned());
    let cpu = or(given.and_then(|given| given.cpu.as_ref()), cpu);
    let memory = or(given.and_then(|given| given.memory.as_ref()), memory);
    ResourceRequirements {
        requests: Some(BTreeMap::from([
            ("cpu".to_owned(), cpu),
            ("memory".to_owned(), memory.clone()),
        ])),
        limits: Some(BTreeMap::from([("memory".to_owned(), memory)])),
        ..ResourceRequirements::default()
    }
}

/// Which pods: their labels, and where they may run.
pub(super) struct Place<'a> {
    pub(super) component: Component,
    pub(super) room: Option<&'a RoomSize>,
}

/// A pod's template. `config` is the digest of what the pods read at their start.
pub(super) fn template(
    context: &Context<'_>,
    place: &Place<'_>,
    config: &str,
    spec: PodSpec,
) -> PodTemplateSpec {
    let pods = context.class.pods.clone().unwrap_or_default();
    let mut all: Labels = pods.labels.unwrap_or_default();
    all.extend(labels(context.names, Some(place.component)));
    if let Some(room) = place.room {
        all.insert(ROOM_LABEL.to_owned(), room.name.clone());
    }
    let spec = PodSpec {
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        affinity: place.room.and_then(|room| room.zone.as_deref()).map(in_zone),
        topology_spread_constraints: Some(vec![over_nodes(context, place)]),
        node_selector: pods.node_selector,
        tolerations: pods
            .tolerations
            .map(|all| all.into_iter().map(toleration).collect()),
        priority_class_name: pods.priority_class_name,
        image_pull_secrets: pods.image_pull_secrets.map(|secrets| {
            secrets
                .into_iter()
                .map(|secret| LocalObjectReference { name: secret.name })
                .collect()
        }),
        ..spec
    };
    let mut annotations = pods.annotations.unwrap_or_default();
    let digest = crate::canonical::digest(&serde_json::json!([config, spec, all, annotations]));
    annotations.insert(HASH_ANNOTATION.to_owned(), digest);
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(all),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(spec),
    }
}

fn in_zone(zone: &str) -> Affinity {
    let term = NodeSelectorTerm {
        match_expressions: Some(vec![NodeSelectorRequirement {
            key: "topology.kubernetes.io/zone".to_owned(),
            operator: "In".to_owned(),
            values: Some(vec![zone.to_owned()]),
        }]),
        ..NodeSelectorTerm::default()
    };
    Affinity {
        node_affinity: Some(NodeAffinity {
            required_during_scheduling_ignored_during_execution: Some(NodeSelector {
                node_selector_terms: vec![term],
            }),
            ..NodeAffinity::default()
        }),
        ..Affinity::default()
    }
}

/// Pods of one kind on different nodes if there are any; a sale on one node is better than none.
fn over_nodes(context: &Context<'_>, place: &Place<'_>) -> TopologySpreadConstraint {
    let room = place.room.map(|room| room.name.as_str());
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(selector(selected(context.names, place.component, room))),
        ..TopologySpreadConstraint::default()
    }
}

fn toleration(given: crate::api::Toleration) -> Toleration {
    Toleration {
        key: given.key,
        operator: given.operator.map(|operator| format!("{operator:?}")),
        value: given.value,
        effect: given.effect.map(|effect| format!("{effect:?}")),
        ..Toleration::default()
    }
}

pub(super) fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

pub(super) fn writable(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        read_only: None,
        ..mount(name, path)
    }
}

/// A folder of the pod's own.
pub(super) fn scratch(name: &str, size: Option<&str>) -> Volume {
    let size_limit = size.map(|size| Quantity(size.to_owned()));
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit,
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}

pub(super) fn config_map(name: &str, map: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: map.to_owned(),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// A ConfigMap that may be missing, or come later.
pub(super) fn optional_config_map(name: &str, map: &str) -> Volume {
    let mut volume = config_map(name, map);
    if let Some(map) = &mut volume.config_map {
        map.optional = Some(true);
    }
    volume
}

/// Keys of Secrets as files below [`SECRETS`]: (Secret, key, path).
pub(super) fn secret_files(files: &[(String, String, String)]) -> Volume {
    let mut sources: Vec<VolumeProjection> = Vec::new();
    for (secret, key, path) in files {
        let item = KeyToPath {
            key: key.clone(),
            path: path.clone(),
            mode: None,
        };
        let same = sources
            .iter_mut()
            .filter_map(|source| source.secret.as_mut())
            .find(|found| found.name == *secret);
        match same {
            Some(found) => found.items.get_or_insert_default().push(item),
            None => sources.push(VolumeProjection {
                secret: Some(SecretProjection {
                    name: secret.clone(),
                    items: Some(vec![item]),
                    optional: None,
                }),
                ..VolumeProjection::default()
            }),
        }
    }
    Volume {
        name: "secrets".to_owned(),
        projected: Some(ProjectedVolumeSource {
            // Readable by the pod's group, which is the container's: nobody else.
            default_mode: Some(0o440),
            sources: Some(sources),
        }),
        ..Volume::default()
    }
}
