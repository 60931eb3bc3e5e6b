//! The shards of a room: pods of Redis and its sidecar, numbered on over the rooms.

use super::files::DRAIN_SECONDS;
use super::pod::{self, Place, RUN, SECRETS, STATE};
use super::{Component, Context, Template, redis, selected, selector, template};
use crate::names::{LINK_PORT, REDIS_PORT};
use crate::observed::Kind;
use crate::sizing::RoomSize;
use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetOrdinals, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
    StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    ConfigMapProjection, Container, DownwardAPIProjection, DownwardAPIVolumeFile, EnvVar, EnvVarSource,
    KeyToPath, ObjectFieldSelector, PersistentVolumeClaim, PersistentVolumeClaimSpec, PodSpec, Probe,
    ProjectedVolumeSource, ServiceAccountTokenProjection, TCPSocketAction, Volume, VolumeProjection,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

/// How long the token of a sidecar holds; the kubelet renews it before.
const TOKEN_SECONDS: i64 = 3_607;
/// Where clients look for a pod's token.
const TOKEN_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The label from which a pod knows its shard.
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";
/// Storage of Redis where the class wants one and says no size.
const STORAGE: &str = "1Gi";

/// One StatefulSet for each room.
pub(super) fn sets(context: &Context<'_>, config: &str) -> Vec<Template> {
    context
        .sizes
        .rooms
        .iter()
        .map(|room| set(context, room, config))
        .collect()
}

fn set(context: &Context<'_>, room: &RoomSize, config: &str) -> Template {
    let name = context.names.shards(&room.name);
    let storage = context
        .class
        .redis
        .as_ref()
        .and_then(|redis| redis.storage.as_ref());
    let claims = storage.map(|storage| {
        let size = storage.size.clone().unwrap_or_else(|| STORAGE.to_owned());
        let requests = BTreeMap::from([("storage".to_owned(), Quantity(size))]);
        vec![PersistentVolumeClaim {
            metadata: ObjectMeta {
                name: Some("data".to_owned()),
                labels: Some(super::labels(context.names, Some(Component::Shard))),
                ..ObjectMeta::default()
            },
            spec: Some(PersistentVolumeClaimSpec {
                access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
                storage_class_name: storage.storage_class_name.clone(),
                resources: Some(VolumeResourceRequirements {
                    requests: Some(requests),
                    limits: None,
                }),
                ..PersistentVolumeClaimSpec::default()
            }),
            ..PersistentVolumeClaim::default()
        }]
    });
    let place = Place {
        component: Component::Shard,
        room: Some(room),
    };
    let spec = StatefulSetSpec {
        service_name: Some(name.clone()),
        replicas: Some(i32::from(room.shards)),
        ordinals: Some(StatefulSetOrdinals {
            start: Some(i32::from(room.first)),
        }),
        pod_management_policy: Some("Parallel".to_owned()),
        update_strategy: Some(StatefulSetUpdateStrategy {
            type_: Some("OnDelete".to_owned()),
            rolling_update: None,
        }),
        persistent_volume_claim_retention_policy: claims.as_ref().map(|_| {
            StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some("Delete".to_owned()),
                when_scaled: Some("Retain".to_owned()),
            }
        }),
        revision_history_limit: Some(1),
        selector: selector(selected(context.names, Component::Shard, Some(&room.name))),
        template: pod::template(context, &place, config, pod_spec(context, claims.is_some())),
        volume_claim_templates: claims,
        ..StatefulSetSpec::default()
    };
    let set = StatefulSet {
        metadata: context.room_meta(&name, Component::Shard, &room.name),
        spec: Some(spec),
        status: None,
    };
    template(Kind::StatefulSet, &name, &set)
}

fn pod_spec(context: &Context<'_>, is_claimed: bool) -> PodSpec {
    let mut files = context.signing_files(&["link", "tickets"]);
    files.push(context.redis_file("sidecar-url"));
    files.extend(context.database_files());
    files.extend(context.log_file());
    // A volume of its own, so that Redis sees its configuration and nothing else.
    let conf = Volume {
        name: "redis".to_owned(),
        ..pod::secret_files(&[context.redis_file("redis.conf")])
    };
    let mut volumes = vec![
        pod::config_map("run", &context.names.run()),
        pod::secret_files(&files),
        conf,
        token(),
        pod::scratch("state", Some("64Mi")),
    ];
    if !is_claimed {
        volumes.push(pod::scratch("data", None));
    }
    PodSpec {
        service_account_name: Some(context.names.child("control")),
        termination_grace_period_seconds: Some(DRAIN_SECONDS + 20),
        containers: vec![redis(context), sidecar(context)],
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}

fn redis(context: &Context<'_>) -> Container {
    let resources = context
        .class
        .pods
        .as_ref()
        .and_then(|pods| pods.resources.as_ref());
    let given = resources.and_then(|all| all.redis.as_ref());
    let probe = |period| Probe {
        tcp_socket: Some(TCPSocketAction {
            port: IntOrString::String("redis".to_owned()),
            host: None,
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(2),
        ..Probe::default()
    };
    Container {
        name: "redis".to_owned(),
        image: Some(context.redis_image.to_owned()),
        command: Some(vec![
            "redis-server".to_owned(),
            format!("{SECRETS}/redis/redis.conf"),
        ]),
        ports: Some(vec![pod::port("redis", REDIS_PORT)]),
        readiness_probe: Some(probe(2)),
        liveness_probe: Some(Probe {
            failure_threshold: Some(6),
            ..probe(10)
        }),
        resources: Some(pod::amounts(given, "100m", redis::MEMORY)),
        security_context: Some(pod::locked_down()),
        volume_mounts: Some(vec![pod::mount("redis", SECRETS), pod::writable("data", "/data")]),
        ..Container::default()
    }
}

fn sidecar(context: &Context<'_>) -> Container {
    let resources = context
        .class
        .pods
        .as_ref()
        .and_then(|pods| pods.resources.as_ref());
    let given = resources.and_then(|all| all.sidecar.as_ref());
    let file = format!("{RUN}/sidecar-$(POD_INDEX).yaml");
    let mut container = pod::container(context, "sidecar", &[&file], pod::amounts(given, "100m", "256Mi"));
    container.env = Some(vec![EnvVar {
        name: "POD_INDEX".to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(field(&format!("metadata.labels['{INDEX_LABEL}']"))),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }]);
    container
        .ports
        .get_or_insert_default()
        .push(pod::port("link", LINK_PORT));
    container.volume_mounts = Some(vec![
        pod::mount("run", RUN),
        pod::mount("secrets", SECRETS),
        pod::mount("token", TOKEN_FOLDER),
        pod::writable("state", STATE),
    ]);
    container
}

fn field(path: &str) -> ObjectFieldSelector {
    ObjectFieldSelector {
        field_path: path.to_owned(),
        api_version: None,
    }
}

/// A token for the sidecar alone: the pod as a whole mounts none.
fn token() -> Volume {
    let sources = vec![
        VolumeProjection {
            service_account_token: Some(ServiceAccountTokenProjection {
                path: "token".to_owned(),
                expiration_seconds: Some(TOKEN_SECONDS),
                audience: None,
            }),
            ..VolumeProjection::default()
        },
        VolumeProjection {
            config_map: Some(ConfigMapProjection {
                name: "kube-root-ca.crt".to_owned(),
                items: Some(vec![KeyToPath {
                    key: "ca.crt".to_owned(),
                    path: "ca.crt".to_owned(),
                    mode: None,
                }]),
                optional: None,
            }),
            ..VolumeProjection::default()
        },
        VolumeProjection {
            downward_api: Some(DownwardAPIProjection {
                items: Some(vec![DownwardAPIVolumeFile {
                    path: "namespace".to_owned(),
                    field_ref: Some(field("metadata.namespace")),
                    ..DownwardAPIVolumeFile::default()
                }]),
            }),
            ..VolumeProjection::default()
        },
    ];
    Volume {
        name: "token".to_owned(),
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(0o440),
            sources: Some(sources),
        }),
        ..Volume::default()
    }
}
