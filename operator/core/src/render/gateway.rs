//! The gateways of a room. Their number isn't in here: it is set through `/scale`, so that applying changes none.

use super::files::{DRAIN_SECONDS, gateway_file, jwks};
use super::pod::{self, JWKS, PAGES, Place, RUN, SECRETS};
use super::{Component, Context, Template, selected, selector, template};
use crate::names::BUYERS_PORT;
use crate::observed::Kind;
use crate::sizing::RoomSize;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// How long a gateway takes to finish what is under way after it has drained, with room to spare.
const FINISH_SECONDS: i64 = 20;

/// One Deployment for each room.
pub(super) fn deployments(context: &Context<'_>, config: &str) -> Vec<Template> {
    context
        .sizes
        .rooms
        .iter()
        .map(|room| deployment(context, room, config))
        .collect()
}

fn deployment(context: &Context<'_>, room: &RoomSize, config: &str) -> Template {
    let name = context.names.gateways(&room.name);
    let place = Place {
        component: Component::Gateway,
        room: Some(room),
    };
    let spec = DeploymentSpec {
        // A gateway comes before one goes.
        strategy: Some(DeploymentStrategy {
            type_: Some("RollingUpdate".to_owned()),
            rolling_update: Some(RollingUpdateDeployment {
                max_surge: Some(IntOrString::Int(1)),
                max_unavailable: Some(IntOrString::Int(0)),
            }),
        }),
        revision_history_limit: Some(1),
        selector: selector(selected(context.names, Component::Gateway, Some(&room.name))),
        template: pod::template(context, &place, config, pod_spec(context, room)),
        ..DeploymentSpec::default()
    };
    let deployment = Deployment {
        metadata: context.room_meta(&name, Component::Gateway, &room.name),
        spec: Some(spec),
        status: None,
    };
    template(Kind::Deployment, &name, &deployment)
}

fn pod_spec(context: &Context<'_>, room: &RoomSize) -> PodSpec {
    let resources = context
        .class
        .pods
        .as_ref()
        .and_then(|pods| pods.resources.as_ref());
    let given = resources.and_then(|all| all.gateway.as_ref());
    let file = format!("{RUN}/{}", gateway_file(room));
    let mut container = pod::container(context, "gateway", &[&file], pod::amounts(given, "200m", "256Mi"));
    container
        .ports
        .get_or_insert_default()
        .push(pod::port("buyers", BUYERS_PORT));
    let mut mounts = vec![
        pod::mount("run", RUN),
        pod::mount("secrets", SECRETS),
        pod::mount("pages", PAGES),
    ];
    let mut files = context.signing_files(&["link", "tickets"]);
    files.push(context.payment_file());
    let mut volumes = vec![
        pod::config_map("run", &context.names.run()),
        pod::secret_files(&files),
        pod::optional_config_map("pages", &context.names.pages()),
    ];
    if let Some((map, _)) = jwks(context) {
        mounts.push(pod::mount("jwks", JWKS));
        volumes.push(pod::config_map("jwks", &map));
    }
    container.volume_mounts = Some(mounts);
    PodSpec {
        // Told to end, it says that it isn't ready, serves on for its drain, finishes what is under way and exits.
        termination_grace_period_seconds: Some(DRAIN_SECONDS + FINISH_SECONDS),
        containers: vec![container],
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}
