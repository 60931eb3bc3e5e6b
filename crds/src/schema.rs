//! The JSON schema of the resources, derived from the types, in the plain form that Kubernetes takes.

use std::sync::LazyLock;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value};

use crate::sale::FlashSale;

static FLASH_SALE: LazyLock<Value> = LazyLock::new(of::<FlashSale>);

/// The schema of a type, in plain form.
pub(crate) fn of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    flatten(&mut schema);
    schema
}

/// The JSON schema of a FlashSale: no references, no nullable fields, enumerations as plain `enum`.
pub fn flash_sale_schema() -> &'static Value {
    &FLASH_SALE
}

/// Rewrites what schemars makes of `Option` and of documented variants into the plain form.
fn flatten(schema: &mut Value) {
    match schema {
        Value::Array(parts) => parts.iter_mut().for_each(flatten),
        Value::Object(schema) => {
            schema.values_mut().for_each(flatten);
            without_null(schema);
            variants_as_enum(schema);
            closed(schema);
            // What a missing list becomes in Rust is no default of the resource.
            schema.remove("default");
        }
        _ => {}
    }
}

/// An optional field may be left out but not be null: `anyOf: [X, null]` and `type: [X, "null"]` become `X`.
fn without_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type") != Some(&Value::from("null")));
        if let [Value::Object(only)] = choices.as_mut_slice() {
            let only = std::mem::take(only);
            schema.remove("anyOf");
            for (key, value) in only {
                schema.entry(key).or_insert(value);
            }
        }
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_mut_slice() {
            let only = only.take();
            schema.insert("type".to_owned(), only);
        }
    }
}

/// `oneOf` of documented constants becomes one `enum`.
fn variants_as_enum(schema: &mut Map<String, Value>) {
    let Some(Value::Array(variants)) = schema.get("oneOf") else {
        return;
    };
    let constants: Option<Vec<Value>> = variants
        .iter()
        .map(|variant| variant.get("const").cloned())
        .collect();
    if let Some(constants) = constants {
        schema.remove("oneOf");
        schema.insert("type".to_owned(), Value::from("string"));
        schema.insert("enum".to_owned(), Value::Array(constants));
    }
}

/// An object with named fields has no others: a misspelt field is told rather than dropped.
///
/// The types themselves pass over what they don't know, so that an older operator still reads newer objects.
fn closed(schema: &mut Map<String, Value>) {
    if schema.get("properties").is_some_and(Value::is_object) {
        schema.entry("additionalProperties").or_insert(Value::Bool(false));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::patterns;

    fn each_schema(schema: &Value, visit: &mut impl FnMut(&Map<String, Value>)) {
        match schema {
            Value::Object(fields) => {
                visit(fields);
                fields.values().for_each(|field| each_schema(field, visit));
            }
            Value::Array(parts) => parts.iter().for_each(|part| each_schema(part, visit)),
            _ => {}
        }
    }

    /// The same value with its fields in order of their names, however serde_json was built.
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields: BTreeMap<&String, Value> =
                    fields.iter().map(|(name, value)| (name, sorted(value))).collect();
                fields
                    .into_iter()
                    .map(|(name, value)| (name.clone(), value))
                    .collect()
            }
            Value::Array(parts) => parts.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }

    #[test]
    fn the_schema_only_changes_on_purpose() {
        insta::assert_snapshot!(
            "flash_sale",
            serde_json::to_string_pretty(&sorted(flash_sale_schema())).unwrap()
        );
    }

    #[test]
    fn every_pattern_in_the_schema_has_words_for_a_person() {
        let mut count = 0;
        each_schema(flash_sale_schema(), &mut |schema| {
            if let Some(Value::String(source)) = schema.get("pattern") {
                assert!(patterns::pattern(source).is_some(), "{source}");
                count += 1;
            }
        });
        assert!(count > 20, "only {count} patterns");
    }

    #[test]
    fn the_schema_uses_only_what_the_reader_checks() {
        let known = [
            "type",
            "title",
            "description",
            "format",
            "properties",
            "required",
            "additionalProperties",
            "items",
            "enum",
            "pattern",
            "minLength",
            "maxLength",
            "minimum",
            "maximum",
            "minItems",
            "maxItems",
            "x-kubernetes-list-type",
            "x-kubernetes-list-map-keys",
        ];
        fn walk(schema: &Value, known: &[&str]) {
            let Value::Object(fields) = schema else { return };
            for (keyword, value) in fields {
                assert!(known.contains(&keyword.as_str()), "{keyword} in {schema}");
                match keyword.as_str() {
                    "properties" => value
                        .as_object()
                        .unwrap()
                        .values()
                        .for_each(|field| walk(field, known)),
                    "items" | "additionalProperties" => walk(value, known),
                    _ => {}
                }
            }
            assert!(fields["type"].is_string(), "{schema}");
        }
        walk(flash_sale_schema(), &known);
    }
}
