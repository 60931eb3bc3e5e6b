//! Calls to the shop.

use super::{Job, StepError};
use crate::world::now_ms;
use flashsale_dataplane::shop::{Call, Message};
use flashsale_operator_core::{FailureKind, ShopCall};

impl Job<'_> {
    /// Tells the shop. It may hear it twice, with one id: what it answered can be lost with this process.
    pub(super) async fn tell_shop(&mut self, call: &ShopCall) -> Result<(), StepError> {
        let told = self.call(call).await?;
        self.memory.told.take(told.clone(), now_ms());
        told.map_err(|why| StepError::of(FailureKind::Shop, why))
    }

    /// Sends a call; the inner result is what came of it.
    ///
    /// # Errors
    /// What signs it can't be read.
    pub(super) async fn call(&self, call: &ShopCall) -> Result<Result<(), String>, StepError> {
        let (name, key) = &call.secret;
        let secret = self.own(name, key).await?;
        let to = Call {
            url: call.url.clone(),
            timeout: call.timeout,
        };
        let message = Message {
            id: &call.id,
            event: call.event,
            body: &call.body,
        };
        Ok(to.send(&self.operator.world.http, secret.reveal(), message).await)
    }
}
