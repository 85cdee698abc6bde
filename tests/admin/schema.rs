//! As much of JSON Schema as the description uses, and stricter: a member that the schema does not name is a fault.

use serde_json::Value;

/// Panics with the place where `value` is not what `schema` says.
pub(crate) fn conforms(description: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = description.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        return conforms(description, target, value, place);
    }
    if let Some(schemas) = schema["oneOf"].as_array() {
        let (null, other): (Vec<_>, Vec<_>) = schemas.iter().partition(|schema| schema["type"] == "null");
        let ([_], [other]) = (null.as_slice(), other.as_slice()) else {
            panic!("{place}: {schema} is no type or null")
        };
        if !value.is_null() {
            conforms(description, other, value, place);
        }
        return;
    }
    if *schema == serde_json::json!({}) {
        return;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    assert!(types.contains(&kind(value)), "{place} is {}, not {types:?}", kind(value));
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{place}: {value} is none of {words:?}");
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        conforms(description, &schema["items"], item, &format!("{place}[{number}]"));
    }
    if let Some(members) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(members.contains_key(name.as_str().unwrap()), "{place} has no {name}");
        }
        for (name, member) in members {
            let wanted = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
            assert!(wanted.is_object(), "{place}.{name} is not in the schema");
            conforms(description, wanted, member, &format!("{place}.{name}"));
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
