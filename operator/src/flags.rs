//! What the command line and the pod's own description say.

use clap::{ArgAction, Parser};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Runs flash sales on this cluster.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub(crate) struct Flags {
    /// A namespace whose sales are looked after; again for more. Left out: all namespaces
    #[arg(
        long = "namespace",
        value_name = "NAME",
        env = "FLASHSALE_NAMESPACES",
        value_delimiter = ','
    )]
    pub(crate) namespaces: Vec<String>,
    /// The operator's own namespace: its lease and the Secrets of the classes are there
    #[arg(
        long,
        value_name = "NAME",
        env = "POD_NAMESPACE",
        default_value = "flashsale-system"
    )]
    pub(crate) operator_namespace: String,
    /// The name of the operator's pod, which events are reported by
    #[arg(
        long,
        value_name = "NAME",
        env = "POD_NAME",
        default_value = "flashsale-operator"
    )]
    pub(crate) pod_name: String,
    /// The uid of the operator's pod, which holds the lease; left out, a random one
    #[arg(long, value_name = "UID", env = "POD_UID")]
    pub(crate) pod_uid: Option<String>,
    /// The data plane's image where a class names none
    #[arg(long, value_name = "IMAGE", env = "FLASHSALE_DATAPLANE_IMAGE")]
    pub(crate) dataplane_image: String,
    /// The image of Redis where a class names none
    #[arg(long, value_name = "IMAGE", env = "FLASHSALE_REDIS_IMAGE")]
    pub(crate) redis_image: String,
    /// Where health and metrics are served
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9090")]
    pub(crate) metrics_address: SocketAddr,
    /// Work only while holding the lease; `false` where nothing else can run beside this process
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    pub(crate) leader_elect: bool,
    /// How many sales are worked on at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) workers: u16,
    /// The cluster's address and credentials; left out, the pod's own
    #[arg(long, value_name = "FILE", env = "KUBECONFIG")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The domain of the cluster's Services
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    pub(crate) cluster_domain: String,
    /// A network of the proxies through which buyers reach gateways; again for more. They are believed where a buyer is
    /// (`X-Forwarded-For`); left out, whoever connects to a gateway is the buyer
    #[arg(long = "trusted-proxy", value_name = "NETWORK", value_parser = network)]
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// A file with certificates (PEM) that are trusted beside the system's when the shop and its CDN are called
    #[arg(long, value_name = "FILE")]
    pub(crate) trusted_certificates: Option<PathBuf>,
}

/// A network as gateways read it: `10.0.0.0/8`, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let network: IpNet = text
        .parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "it is no network: write it as 10.0.0.0/8, or as one address".to_owned())?;
    if network.prefix_len() == 0 {
        // Everybody could say where they are, and go past every limit.
        return Err("it is everybody: name the proxies' own networks".to_owned());
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_proxies_are_checked_before_any_gateway_is_told() {
        for (given, read) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("203.0.113.7", "203.0.113.7/32"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
        ] {
            assert_eq!(
                network(given).map(|network| network.to_string()),
                Ok(read.to_owned())
            );
        }
        for bad in [
            "",
            "10.0.0.0/33",
            "fd00::/129",
            "10.0.0.0/",
            "10.0.0/8",
            "proxy",
            "0.0.0.0/0",
            "::/0",
        ] {
            assert!(network(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn namespaces_are_given_again_or_with_commas() {
        let images = ["--dataplane-image", "a:1", "--redis-image", "b:1"];
        let given = [
            "operator",
            "--namespace",
            "a,b",
            "--namespace",
            "c",
            "--leader-elect=false",
        ];
        let flags = Flags::try_parse_from(given.into_iter().chain(images)).unwrap();
        assert_eq!(flags.namespaces, ["a", "b", "c"]);
        assert!(!flags.leader_elect);
        assert!(
            Flags::try_parse_from(["operator"].into_iter().chain(images))
                .unwrap()
                .leader_elect
        );
    }
}
