//! The order log's admin API.

use super::{World, data_uid};
use crate::secrets::is_shared;
use flashsale_operator_core::SecretText;
use flashsale_operator_core::api::FlashSaleClassSpec;
use flashsale_operator_core::names::Names;
use flashsale_operator_core::observed::LogState;
use flashsale_pulsar::{Admin, Layout, Names as LogNames, Service};

impl World {
    /// A client of the admin API, with the class' token.
    ///
    /// # Errors
    /// The Secret with the token is missing, or the system gives no client.
    pub(crate) async fn log_admin(&self, class: &FlashSaleClassSpec) -> Result<Admin, String> {
        let token = self.secrets.log_token(class).await.map_err(|e| e.to_string())?;
        let token = token.map(|token| token.reveal().to_owned());
        Admin::new(&class.order_log.pulsar.admin_url, token).map_err(|e| e.to_string())
    }

    /// The order log, as the operator reads it itself.
    ///
    /// # Errors
    /// The Secret with the token is missing.
    pub(crate) async fn log_service(
        &self,
        class: &FlashSaleClassSpec,
        names: &Names,
    ) -> Result<(Service, LogNames), String> {
        let token = self.secrets.log_token(class).await.map_err(|e| e.to_string())?;
        let token = token.map(|token| token.reveal().to_owned());
        let service = Service::new(class.order_log.pulsar.service_url.clone(), token);
        Ok((service, layout(class, names, 1).names))
    }

    /// What differs from what a sale needs.
    pub(super) async fn log_drift(
        &self,
        class: &FlashSaleClassSpec,
        names: &Names,
        shards: u16,
    ) -> Result<LogState, String> {
        let admin = self.log_admin(class).await?;
        let drift = admin
            .drift(&layout(class, names, shards))
            .await
            .map_err(|e| e.to_string())?;
        Ok(LogState {
            drift: drift.iter().map(ToString::to_string).collect(),
        })
    }

    /// A token for a sale of its own.
    ///
    /// # Errors
    /// The class has no credentials to make one with.
    pub(crate) async fn minted_log_token(&self, class: &FlashSaleClassSpec) -> Result<SecretText, String> {
        if is_shared(class) {
            return Err("the class shares its credentials".to_owned());
        }
        Err("tokens for single sales can't be made yet: set credentials.mode Shared in the class, with a token in its Secret that may write to the tenant".to_owned())
    }
}

/// What a sale needs in the order log.
pub(crate) fn layout(class: &FlashSaleClassSpec, names: &Names, shards: u16) -> Layout {
    Layout {
        names: LogNames::new(&class.order_log.pulsar.tenant, data_uid(names)),
        shards,
    }
}
