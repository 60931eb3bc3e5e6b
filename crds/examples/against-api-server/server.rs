//! An API server, asked without going through the types: what is sent is what stands in the fixtures.

use anyhow::{Context, Result, bail, ensure};
use flashsale_crds::crd::custom_resource_definitions;
use flashsale_crds::objects::ALLOW_DELETION_ANNOTATION;
use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};

/// What an API server says to an object.
pub(crate) struct Answer {
    pub(crate) is_accepted: bool,
    /// All in one text.
    pub(crate) message: String,
    /// Each reason of a refusal.
    pub(crate) causes: Vec<Cause>,
}

/// One reason of a refusal.
pub(crate) struct Cause {
    /// The field, as `spec.items[0].price`.
    pub(crate) field: String,
    /// The sentence, without the words that the API server puts before it.
    pub(crate) message: String,
}

/// An API server, and a namespace there.
pub(crate) struct Server {
    client: Client,
    namespace: String,
}

impl Server {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            namespace: format!("flashsale-rules-{}", std::process::id()),
        }
    }

    /// Installs the definitions as they are now, and waits until they are served.
    pub(crate) async fn install(&self) -> Result<()> {
        for (file, definition) in custom_resource_definitions() {
            let name = definition["metadata"]["name"].as_str().unwrap_or_default();
            let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
            let apply = format!("{path}?fieldManager=flashsale-rules&force=true");
            let answer = self
                .send(
                    Method::PATCH,
                    &apply,
                    "application/apply-patch+yaml",
                    definition.to_string(),
                )
                .await?;
            ensure!(answer.is_accepted, "{file}: {}", answer.message);
            self.wait_until_served(&path).await?;
        }
        Ok(())
    }

    async fn wait_until_served(&self, path: &str) -> Result<()> {
        for _ in 0..100 {
            let definition = self.get(path).await?;
            let conditions = definition["status"]["conditions"].as_array();
            let is_served =
                |condition: &Value| condition["type"] == "Established" && condition["status"] == "True";
            if conditions.is_some_and(|conditions| conditions.iter().any(is_served)) {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        bail!("{path} isn't served 10 s after it was installed")
    }

    /// Makes the namespace.
    pub(crate) async fn begin(&self) -> Result<()> {
        let namespace =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": self.namespace } });
        let answer = self
            .send(
                Method::POST,
                "/api/v1/namespaces",
                "application/json",
                namespace.to_string(),
            )
            .await?;
        ensure!(
            answer.is_accepted,
            "the namespace can't be made: {}",
            answer.message
        );
        Ok(())
    }

    /// Removes the namespace with all that is in it.
    pub(crate) async fn end(&self) -> Result<()> {
        let path = format!("/api/v1/namespaces/{}", self.namespace);
        let answer = self
            .send(Method::DELETE, &path, "application/json", String::new())
            .await?;
        ensure!(
            answer.is_accepted,
            "the namespace can't be removed: {}",
            answer.message
        );
        Ok(())
    }

    fn path(&self, kind: &str) -> String {
        let group = "/apis/flashsale.dev/v1alpha1";
        match kind {
            "FlashSaleClass" => format!("{group}/flashsaleclasses"),
            "FlashSaleSwitch" => format!("{group}/namespaces/{}/flashsaleswitches", self.namespace),
            _ => format!("{group}/namespaces/{}/flashsales", self.namespace),
        }
    }

    /// An object in this namespace, without the status that a creation drops.
    fn here(&self, object: &Value) -> Value {
        let mut object = object.clone();
        if object["metadata"]["namespace"].is_string() {
            object["metadata"]["namespace"] = self.namespace.as_str().into();
        }
        if let Value::Object(fields) = &mut object {
            fields.remove("status");
        }
        object
    }

    /// Whether an object could be created.
    pub(crate) async fn create(&self, kind: &str, object: &Value) -> Result<Answer> {
        let path = format!("{}?dryRun=All&fieldValidation=Strict", self.path(kind));
        self.send(
            Method::POST,
            &path,
            "application/json",
            self.here(object).to_string(),
        )
        .await
    }

    /// Whether a file could be created, in YAML as it stands.
    pub(crate) async fn create_file(&self, kind: &str, text: &str) -> Result<Answer> {
        let text = text.replace("namespace: shop", &format!("namespace: {}", self.namespace));
        let path = format!("{}?dryRun=All&fieldValidation=Strict", self.path(kind));
        self.send(Method::POST, &path, "application/yaml", text).await
    }

    /// Creates an object for good, with its status.
    pub(crate) async fn keep(&self, kind: &str, object: &Value, name: &str) -> Result<()> {
        let mut here = self.here(object);
        here["metadata"]["name"] = name.into();
        let answer = self
            .send(
                Method::POST,
                &self.path(kind),
                "application/json",
                here.to_string(),
            )
            .await?;
        ensure!(answer.is_accepted, "{name} can't be made: {}", answer.message);
        if let Some(status) = object.get("status") {
            let path = format!("{}/{name}/status", self.path(kind));
            let patch = json!({ "status": status }).to_string();
            let answer = self
                .send(Method::PATCH, &path, "application/merge-patch+json", patch)
                .await?;
            ensure!(
                answer.is_accepted,
                "the status of {name} can't be written: {}",
                answer.message
            );
        }
        Ok(())
    }

    /// Whether a kept object could be replaced by another one, or its status could.
    pub(crate) async fn replace(
        &self,
        kind: &str,
        name: &str,
        object: &Value,
        is_status: bool,
    ) -> Result<Answer> {
        let path = format!("{}/{name}", self.path(kind));
        let mut live = self.get(&path).await?;
        if let Some(labels) = object["metadata"].get("labels") {
            live["metadata"]["labels"] = labels.clone();
        }
        let fields = live.as_object_mut().context("an object has fields")?;
        for field in ["spec", "status"] {
            match object.get(field) {
                Some(value) => fields.insert(field.to_owned(), value.clone()),
                None => fields.remove(field),
            };
        }
        let subresource = if is_status { "/status" } else { "" };
        let path = format!("{path}{subresource}?dryRun=All&fieldValidation=Strict");
        self.send(Method::PUT, &path, "application/json", live.to_string())
            .await
    }

    /// Removes a kept object, whatever waits for it.
    pub(crate) async fn drop(&self, kind: &str, name: &str) -> Result<()> {
        let path = format!("{}/{name}", self.path(kind));
        // An admission policy may ask whether it is meant.
        let uid = self.get(&path).await?["metadata"]["uid"].clone();
        let annotations = json!({ ALLOW_DELETION_ANNOTATION: uid });
        let patch = json!({ "metadata": { "finalizers": null, "annotations": annotations } }).to_string();
        self.send(Method::PATCH, &path, "application/merge-patch+json", patch)
            .await?;
        let answer = self
            .send(Method::DELETE, &path, "application/json", String::new())
            .await?;
        ensure!(answer.is_accepted, "{name} can't be removed: {}", answer.message);
        Ok(())
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let request = Request::get(path).body(Vec::new())?;
        self.client
            .request(request)
            .await
            .with_context(|| format!("GET {path}"))
    }

    async fn send(&self, method: Method, path: &str, kind: &str, body: String) -> Result<Answer> {
        let request = Request::builder().method(method).uri(path);
        let request = request
            .header("content-type", kind)
            .header("accept", "application/json");
        match self.client.request_text(request.body(body.into_bytes())?).await {
            Ok(_) => Ok(Answer {
                is_accepted: true,
                message: String::new(),
                causes: Vec::new(),
            }),
            Err(kube::Error::Api(status)) => {
                let causes = status.details.iter().flat_map(|details| &details.causes);
                let causes = causes.map(|cause| Cause {
                    field: cause.field.clone(),
                    message: sentence(&cause.message).to_owned(),
                });
                Ok(Answer {
                    is_accepted: false,
                    causes: causes.collect(),
                    message: status.message.clone(),
                })
            }
            Err(error) => Err(error).with_context(|| path.to_owned()),
        }
    }
}

/// A reason without the words that the API server puts before every one: `Invalid value: "object": …`.
fn sentence(cause: &str) -> &str {
    for before in ["Forbidden: ", "Required value: "] {
        if let Some(rest) = cause.strip_prefix(before) {
            return rest;
        }
    }
    let Some(rest) = cause.strip_prefix("Invalid value: ") else {
        return cause;
    };
    rest.split_once("\": ")
        .or_else(|| rest.split_once(": "))
        .map_or(rest, |(_, sentence)| sentence)
}
