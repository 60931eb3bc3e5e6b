//! The sale's pods, and what keeps them from running.

use super::component;
use flashsale_operator_core::api::HASH_ANNOTATION;
use flashsale_operator_core::observed::{Child, Kind, PodSeen, Trouble};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use std::sync::Arc;

/// Of a program's last words so many characters are told.
const WORDS_MAX: usize = 200;
/// Restarts after which a container counts as ending again and again.
const RESTARTS: i32 = 2;

/// A pod as the plan sees it.
pub(super) fn seen(pod: &Pod) -> PodSeen {
    let meta = &pod.metadata;
    PodSeen {
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        component: component(meta).to_owned(),
        hash: meta
            .annotations
            .as_ref()
            .and_then(|all| all.get(HASH_ANNOTATION))
            .cloned(),
        ready: is_ready(pod),
        deleting: meta.deletion_timestamp.is_some(),
    }
}

/// Whether a pod is ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .filter_map(|status| status.conditions.as_ref())
        .flatten();
    conditions
        .into_iter()
        .any(|c| c.type_ == "Ready" && c.status == "True")
}

/// Adds to each Deployment and StatefulSet what keeps its pods from running.
pub(super) fn troubles(pods: &[Arc<Pod>], children: &mut [Child]) {
    for pod in pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
    {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let found = of(pod, name);
        if found.is_empty() {
            continue;
        }
        let owns = |child: &&mut Child| {
            matches!(child.kind, Kind::Deployment | Kind::StatefulSet)
                && name
                    .strip_prefix(child.name.as_str())
                    .is_some_and(|rest| rest.starts_with('-'))
        };
        // A name may begin another one: the longest is the owner's.
        if let Some(owner) = children
            .iter_mut()
            .filter(owns)
            .max_by_key(|child| child.name.len())
        {
            owner.troubles.extend(found);
        }
    }
}

fn of(pod: &Pod, name: &str) -> Vec<Trouble> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let unscheduled = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(condition) = unscheduled {
        found.push(Trouble::Unschedulable {
            pod: name.to_owned(),
            message: condition.message.clone().unwrap_or_default(),
        });
    }
    let containers = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .flatten();
    found.extend(containers.filter_map(|container| of_container(container, name)));
    found
}

fn of_container(container: &ContainerStatus, pod: &str) -> Option<Trouble> {
    let state = container.state.as_ref()?;
    let pod = pod.to_owned();
    let waiting = state.waiting.as_ref();
    let reason = waiting
        .and_then(|waiting| waiting.reason.as_deref())
        .unwrap_or_default();
    let said = waiting
        .and_then(|waiting| waiting.message.clone())
        .unwrap_or_default();
    match reason {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
            Some(Trouble::Image {
                pod,
                message: format!("{}: {reason} {said}", container.image)
                    .trim_end()
                    .to_owned(),
            })
        }
        "CreateContainerConfigError" => Some(Trouble::Mount { pod, message: said }),
        "CrashLoopBackOff" => Some(Trouble::Crashing {
            pod,
            message: crashed(container),
        }),
        _ if container.restart_count > RESTARTS && state.running.is_none() => Some(Trouble::Crashing {
            pod,
            message: crashed(container),
        }),
        _ => None,
    }
}

fn crashed(container: &ContainerStatus) -> String {
    let name = &container.name;
    let last = container
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    let Some(last) = last else {
        return format!("container {name} ends again and again");
    };
    let words = last.message.as_deref().unwrap_or_default().trim();
    let words: String = words
        .lines()
        .last()
        .unwrap_or_default()
        .chars()
        .take(WORDS_MAX)
        .collect();
    let colon = if words.is_empty() { "" } else { ": " };
    format!(
        "container {name} ended with exit code {}{colon}{words}",
        last.exit_code
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, status: &serde_json::Value) -> Arc<Pod> {
        Arc::new(serde_json::from_value(json!({"metadata": {"name": name}, "status": status})).unwrap())
    }

    #[test]
    fn what_keeps_a_pod_from_running_is_said_of_its_owner() {
        let waits = |reason: &str| {
            json!({"containerStatuses": [{"name": "gateway", "image": "a:1", "imageID": "", "ready": false,
                "restartCount": 0, "state": {"waiting": {"reason": reason, "message": "no"}}}]})
        };
        let pods = [
            pod("a-gateway-x-5d-abcde", &waits("ImagePullBackOff")),
            pod("a-gateway-x-y-6e-abcde", &waits("ContainerCreating")),
            pod(
                "a-shards-x-0",
                &json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}]}),
            ),
        ];
        let child = |kind, name: &str| Child::new(kind, name, "1", None);
        let mut children = [
            child(Kind::Deployment, "a-gateway-x"),
            child(Kind::Deployment, "a-gateway-x-y"),
            child(Kind::StatefulSet, "a-shards-x"),
            child(Kind::Service, "a-shards-x"),
        ];
        troubles(&pods, &mut children);
        let image = Trouble::Image {
            pod: "a-gateway-x-5d-abcde".into(),
            message: "a:1: ImagePullBackOff no".into(),
        };
        assert_eq!(children[0].troubles, [image]);
        assert!(children[1].troubles.is_empty() && children[3].troubles.is_empty());
        assert!(
            matches!(&children[2].troubles[..], [Trouble::Unschedulable { message, .. }] if message == "0/2 nodes")
        );
    }

    #[test]
    fn a_crash_is_told_with_its_code_and_last_words() {
        let status = json!({"containerStatuses": [{"name": "worker", "image": "a", "imageID": "", "ready": false, "restartCount": 4,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 2, "message": "starting\nerror: worker.yaml: `x` is unknown\n"}}}]});
        let found = of(&pod("p", &status), "p");
        assert!(
            matches!(&found[..], [Trouble::Crashing { message, .. }]
                if message == "container worker ended with exit code 2: error: worker.yaml: `x` is unknown"),
            "{found:?}"
        );
    }
}
