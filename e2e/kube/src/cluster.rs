//! The cluster that the scenarios play on.

use anyhow::{Context, Result};
use flashsale_crds::objects::{ALLOW_DELETION_ANNOTATION, FlashSale};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// The namespace of the operator.
pub(crate) const OPERATOR: &str = "flashsale-system";
/// The namespace of the sales.
pub(crate) const SHOP: &str = "shop";

/// How long a sale that is deleted may take to go.
const GONE_WITHIN: Duration = Duration::from_secs(240);

/// A running cluster with an entry, Pulsar and PostgreSQL, and the operator installed.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) entry: SocketAddr,
    pub(crate) pulsar_url: String,
    pub(crate) pulsar_admin_url: String,
    pub(crate) databases: Vec<String>,
    pub(crate) audit_log: std::path::PathBuf,
    pub(crate) kubeconfig: std::path::PathBuf,
    pub(crate) kubectl: std::path::PathBuf,
    /// Ends and starts programs beside the cluster.
    pub(crate) server: std::path::PathBuf,
    pub(crate) image: String,
    /// Certificate and key of the shop, as PEM.
    pub(crate) shop: (std::path::PathBuf, std::path::PathBuf),
}

impl Cluster {
    /// Reads the cluster's file `env`, and connects.
    pub(crate) async fn open(folder: &Path, kubectl: &Path, server: &Path, image: &str) -> Result<Self> {
        let file = folder.join("env");
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("{}: is the cluster up? e2e/cluster/up", file.display()))?;
        let env: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let get = |name: &str| {
            let value = env
                .get(name)
                .map(|value| value.trim_matches(['\'', '"']).to_owned());
            value.with_context(|| format!("{}: {name} is missing: e2e/cluster/servers-up", file.display()))
        };
        let kubeconfig = std::path::PathBuf::from(get("KUBECONFIG")?);
        let config = Kubeconfig::read_from(&kubeconfig)?;
        let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
        let entry = get("ENTRY_URL")?;
        let host = entry.trim_start_matches("http://").trim_end_matches('/');
        let entry = if host.contains(':') {
            host.parse()
        } else {
            format!("{host}:80").parse()
        };
        Ok(Self {
            client: Client::try_from(config)?,
            entry: entry.context("ENTRY_URL")?,
            pulsar_url: get("PULSAR_URL")?,
            pulsar_admin_url: get("PULSAR_ADMIN_URL")?,
            databases: vec![get("POSTGRES_URL_0")?, get("POSTGRES_URL_1")?],
            audit_log: get("AUDIT_LOG")?.into(),
            kubeconfig,
            kubectl: kubectl.to_owned(),
            server: server.to_owned(),
            image: image.to_owned(),
            shop: (folder.join("pki/shop.crt"), folder.join("pki/shop.key")),
        })
    }

    pub(crate) fn config_maps(&self, namespace: &str) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub(crate) fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The sales.
    pub(crate) fn sales(&self) -> Api<FlashSale> {
        Api::namespaced(self.client.clone(), SHOP)
    }

    /// Says that a sale is meant to be deleted, live or not.
    pub(crate) async fn allow_deletion(&self, name: &str) -> Result<()> {
        let sales = self.sales();
        let uid = sales.get(name).await?.uid();
        let patch = json!({"metadata": {"annotations": {ALLOW_DELETION_ANNOTATION: uid}}});
        sales
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    /// Removes the sales that scenarios have made, and waits until they are gone. The namespace stays: the operator's
    /// rights in it came with the chart.
    pub(crate) async fn clean(&self) -> Result<()> {
        let (sales, reports) = (self.sales(), self.config_maps(SHOP));
        for sale in sales.list(&ListParams::default()).await? {
            // That it may be live is meant.
            self.allow_deletion(&sale.name_any()).await?;
            sales.delete(&sale.name_any(), &DeleteParams::default()).await?;
        }
        crate::wait::until("the sales are gone", GONE_WITHIN, async || {
            let left = sales.list(&ListParams::default()).await?;
            let left: Vec<String> = left
                .iter()
                .map(|s| format!("{}: {:?}", s.name_any(), s.status))
                .collect();
            Ok(if left.is_empty() {
                Ok(())
            } else {
                Err(left.join("; "))
            })
        })
        .await?;
        let kept = ListParams::default().labels("flashsale.dev/sale");
        reports.delete_collection(&DeleteParams::default(), &kept).await?;
        Ok(())
    }

    /// Makes an object, or leaves the one that is there.
    pub(crate) async fn make<K>(api: &Api<K>, object: &K) -> Result<()>
    where
        K: kube::Resource + Clone + serde::Serialize + serde::de::DeserializeOwned + std::fmt::Debug,
    {
        match api.create(&PostParams::default(), object).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
