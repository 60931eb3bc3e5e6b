//! Reading an object of any kind from a file, with every problem of its shape at once.

use serde_json::{Value, json};

use super::{API_VERSION, Kind, Object};
use crate::{
    load::{Rules, document_of},
    patterns::OBJECT_NAME,
    refusal::Refusal,
    sale, schema, shape,
};

impl<S: Kind> Object<S> {
    /// Reads an object from YAML (or JSON): its fields, types, limits and forms. Rules across fields are the API
    /// server's; for a sale, [`crate::FlashSale::parse`] checks those too.
    ///
    /// # Errors
    /// Everything that is wrong with its shape, by line.
    pub fn parse(yaml: &str) -> Result<Self, Vec<Refusal>> {
        let document = document_of(yaml, S::KIND).map_err(|refusal| vec![refusal])?;
        let schema = file_schema::<S>();
        let shape = shape::check(&document, &schema, Rules::CLUSTER);
        match shape.value.map(serde_json::from_value::<Self>) {
            Some(Ok(object)) if shape.refusals.is_empty() => Ok(object),
            Some(Err(error)) if shape.refusals.is_empty() => Err(vec![Refusal::new(
                "",
                format!("this fits the schema but not the types: {error}; report it"),
            )]),
            _ => Err(shape.refusals),
        }
    }
}

/// What a file of a kind may hold.
fn file_schema<S: Kind>() -> Value {
    let mut metadata = schema::of::<sale::ObjectMeta>();
    // Only a sale's name is part of other names.
    if S::KIND != "FlashSale" {
        metadata["properties"]["name"]["maxLength"] = 253.into();
        metadata["properties"]["name"]["pattern"] = OBJECT_NAME.into();
    }
    json!({
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": { "type": "string", "enum": [API_VERSION] },
            "kind": { "type": "string", "enum": [S::KIND] },
            "metadata": metadata,
            "spec": schema::of::<S>(),
        },
    })
}

#[cfg(test)]
mod tests {
    use crate::objects::{FlashSaleClass, FlashSaleSwitch};

    #[test]
    fn a_switch_with_mistakes_is_told_all_of_them_by_line() {
        let yaml = "apiVersion: flashsale.dev/v1alpha1\nkind: FlashSaleSwitch\nmetadata: {name: a}\nspec:\n  saleName: b\n  set: {orders: {held: true}}\n  reason: x\n  expiresAfter: soon\n";
        let refusals = FlashSaleSwitch::parse(yaml).unwrap_err();
        let texts: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "spec.set.orders.held: unknown field; did you mean `hold`? (line 6)",
                "spec.reason: \"x\" has 1 characters; write at least 3 (line 7)",
                "spec.expiresAfter: \"soon\" is no duration; write whole numbers with h, m, s or ms, such as \"1h30m\" or \"90s\" (line 8)",
            ]
        );
    }

    #[test]
    fn another_kind_is_said_to_be_one() {
        let refusals = FlashSaleClass::parse("kind: FlashSale\n").unwrap_err();
        assert_eq!(
            refusals[0].to_string(),
            "kind: \"FlashSale\" is another kind of object; this needs a FlashSaleClass (line 1)"
        );
    }
}
