//! How buyers prove who they are. Places are within a `buyers`, of a sale or of a class' defaults.

use super::Rule;

pub(super) fn rules() -> Vec<Rule> {
    vec![
        Rule::new(
            "jwt-needed",
            "self.source != 'JWT' || has(self.jwt)",
            "buyers.jwt is missing; source JWT needs it: add jwt with issuer and jwksURL",
        )
        .field(".jwt")
        .required(),
        Rule::new(
            "jwt-unwanted",
            "self.source == 'JWT' || !has(self.jwt)",
            "buyers.jwt is only for source JWT; remove it or set source: JWT",
        )
        .field(".jwt")
        .forbidden(),
        Rule::new(
            "header-needed",
            "self.source != 'TrustedHeader' || has(self.trustedHeader)",
            "buyers.trustedHeader is missing; source TrustedHeader needs it: add trustedHeader with name and fromCIDRs",
        )
        .field(".trustedHeader")
        .required(),
        Rule::new(
            "header-unwanted",
            "self.source == 'TrustedHeader' || !has(self.trustedHeader)",
            "buyers.trustedHeader is only for source TrustedHeader; remove it or set source: TrustedHeader",
        )
        .field(".trustedHeader")
        .forbidden(),
        Rule::new(
            "keys-given",
            "has(self.jwksURL) || has(self.jwksConfigMapRef)",
            "buyers.jwt has no keys; add jwksURL or jwksConfigMapRef",
        )
        .required()
        .at("jwt"),
        Rule::new(
            "keys-once",
            "!has(self.jwksURL) || !has(self.jwksConfigMapRef)",
            "buyers.jwt.jwksConfigMapRef stands beside jwksURL; keep one of the two",
        )
        .field(".jwksConfigMapRef")
        .forbidden()
        .at("jwt"),
        Rule::new(
            "network",
            "isCIDR(self)",
            "an entry of fromCIDRs is no network; write it as \"10.0.0.0/8\", a single address as \"10.1.2.3/32\"",
        )
        .shows("'fromCIDRs: \"' + self + '\" is no network; write it as \"10.0.0.0/8\", a single address as \"10.1.2.3/32\"'")
        .at("trustedHeader.fromCIDRs[]"),
        Rule::new(
            "challenge-secret",
            "!(self.type in ['Turnstile', 'HCaptcha']) || has(self.secretRef)",
            "buyers.challenge.secretRef is missing; type Turnstile and HCaptcha need it: add secretRef: {name: …}",
        )
        .shows("'buyers.challenge.secretRef is missing; type ' + self.type + ' needs it: add secretRef: {name: …}'")
        .field(".secretRef")
        .required()
        .at("challenge"),
    ]
}
