//! The table of calls as OpenAPI 3.1 describes it, with the schemas of the types that are read and sent.
//!
//! The gate does not need this to run: it gives out `openapi.json`, and a test says that the two are the same.

use serde_json::{Map, Value, json};

use super::routes::{Call, LIST_QUERY, ROUTES, Route};
use super::schemas::schemas;

/// The whole description.
fn description() -> Value {
    let mut paths = Map::new();
    for route in &ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(route.method.as_str().to_ascii_lowercase(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Forgetgate admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "A customer's ID is given in bodies only, so that no URL and no log holds one. Times are RFC 3339.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(),
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": format!("{:?}", route.call).to_ascii_lowercase(),
        "summary": route.summary,
        "security": if route.open { json!([]) } else { json!([{ "token": [] }]) },
        "responses": responses(route),
    });
    let parameters = parameters(route);
    if let Some(members) = operation.as_object_mut() {
        if !parameters.is_empty() {
            members.insert("parameters".to_owned(), parameters.into());
        }
        if let Some(schema) = route.takes {
            let body = json!({ "required": route.call != Call::Retry, "content": content("application/json", schema) });
            members.insert("requestBody".to_owned(), body);
        }
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| {
        let schema =
            if name == "id" { json!({ "type": "string", "format": "uuid" }) } else { json!({ "type": "string" }) };
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    });
    let query: &[&str] = if route.call == Call::List { &LIST_QUERY } else { &[] };
    let in_query = query.iter().map(|name| {
        let schema = match *name {
            "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 }),
            "cursor" => json!({ "type": "string", "format": "uuid" }),
            _ => reference("ErasureState"),
        };
        json!({ "name": name, "in": "query", "required": false, "schema": schema })
    });
    in_path.chain(in_query).collect()
}

fn responses(route: &Route) -> Value {
    let mut responses = Map::new();
    let (status, schema) = route.gives;
    let kind = match route.call {
        Call::Metrics => "application/openmetrics-text",
        Call::Export => "application/octet-stream",
        _ => "application/json",
    };
    if status < 300 && route.call != Call::Receipt {
        responses.insert(status.to_string(), json!({ "description": schema, "content": content(kind, schema) }));
    }
    if route.call == Call::Submit {
        responses.insert("200".to_owned(), json!({ "description": "DryRun", "content": content(kind, "DryRun") }));
    }
    let common: &[u16] = if route.open { &[] } else { &[400, 401, 403] };
    for status in common.iter().chain(route.problems) {
        let content = match route.call {
            Call::Ready => content("application/json", "Readiness"),
            Call::Alive => content("application/json", "Health"),
            _ => content("application/problem+json", "Problem"),
        };
        let reason = http::StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
        responses.insert(status.to_string(), json!({ "description": reason, "content": content }));
    }
    responses.into()
}

fn content(kind: &str, schema: &str) -> Value {
    json!({ kind: { "schema": reference(schema) } })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::description;

    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(key, value)| match (key.as_str(), value) {
                ("$ref", Value::String(to)) => drop(found.insert(to.clone())),
                _ => references(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    /// As JSON of which every operation's and every schema's members have a line each.
    fn lines(value: &Value, depth: usize) -> String {
        match value {
            Value::Object(members) if depth < 5 && !members.is_empty() => {
                let margin = "  ".repeat(depth);
                let member = |(key, value)| format!("{margin}  {:?}: {}", key, lines(value, depth + 1));
                format!("{{\n{}\n{margin}}}", members.iter().map(member).collect::<Vec<_>>().join(",\n"))
            }
            _ => value.to_string(),
        }
    }

    #[test]
    fn the_description_that_is_given_out_is_that_of_the_table_and_the_types() {
        let described = lines(&description(), 0) + "\n";
        let shown = include_str!("openapi.json");
        let first = described.lines().zip(shown.lines()).find(|(is, was)| is != was);
        assert!(described == shown, "the first difference is {first:?}; whole:\n{described}");
    }

    #[test]
    fn every_schema_that_is_named_is_there_and_every_schema_is_named() {
        let description = description();
        let mut named = BTreeSet::new();
        references(&description, &mut named);
        let schemas = description["components"]["schemas"].as_object().unwrap();
        let there = schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect::<BTreeSet<_>>();
        assert_eq!(named, there);
    }
}
