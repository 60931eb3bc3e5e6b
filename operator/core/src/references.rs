//! Secrets and ConfigMaps of its namespace that a sale names, and can't do without.

use crate::api::FlashSale;
use crate::observed::Kind;
use crate::pinned::sized;
use flashsale_crds::{EffectiveBuyers, JwksSource};
use std::collections::BTreeSet;

/// What has to be looked up before a plan is made, by the class that the sale would get. What only an advisory gate
/// asks for is in here, too; what an issuer makes isn't.
#[must_use]
pub fn references(sale: &FlashSale, class: &crate::api::FlashSaleClassSpec) -> BTreeSet<(Kind, String)> {
    let mut all = BTreeSet::new();
    let pull = class
        .pods
        .as_ref()
        .and_then(|pods| pods.image_pull_secrets.as_ref());
    all.extend(
        pull.into_iter()
            .flatten()
            .map(|secret| (Kind::Secret, secret.name.clone())),
    );
    let entry = sale.spec.entry.as_ref();
    let pages = entry.and_then(|entry| entry.pages_config_map_ref.as_ref());
    all.extend(pages.map(|pages| (Kind::ConfigMap, pages.name.clone())));
    let Ok(sized) = sized(&sale.spec, class) else {
        return all;
    };
    let sale = &sized.declared.effective;
    all.extend(
        sale.callback_secret
            .as_ref()
            .map(|secret| (Kind::Secret, secret.name.clone())),
    );
    if let Some(EffectiveBuyers::Jwt {
        jwks: JwksSource::ConfigMap(map),
        ..
    }) = &sale.buyers
    {
        all.insert((Kind::ConfigMap, map.name.clone()));
    }
    all
}
