//! Builds what a kustomization means, as far as those in deploy/ need it: whatever else one asks for is an error here.
//!
//! kustomize itself cannot be had from every place. Where there is a kubectl, `schema.rs` compares the two.

use std::fs;
use std::path::{Path, PathBuf};

use saphyr::{LoadableYamlNode, Yaml};
use serde_json::{Map, Value, json};

/// What can stand in a kustomization.
const KNOWN: [&str; 7] =
    ["apiVersion", "kind", "resources", "components", "patches", "configMapGenerator", "generatorOptions"];

/// The documents of a file.
pub(crate) fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    parsed(&text, &path.display().to_string())
}

pub(crate) fn parsed(text: &str, place: &str) -> Vec<Value> {
    let documents = Yaml::load_from_str(text).unwrap_or_else(|error| panic!("{place} is not YAML: {error}"));
    documents.iter().map(json_of).filter(|document| !document.is_null()).collect()
}

fn json_of(yaml: &Yaml<'_>) -> Value {
    if let Some(fields) = yaml.as_mapping() {
        let field = |(key, value): (&Yaml<'_>, &Yaml<'_>)| {
            (key.as_str().expect("a field's name is text").to_owned(), json_of(value))
        };
        return Value::Object(fields.iter().map(field).collect());
    }
    if let Some(items) = yaml.as_vec() {
        return items.iter().map(json_of).collect();
    }
    if let Some(number) = yaml.as_integer() {
        return number.into();
    }
    yaml.as_bool().map_or_else(|| yaml.as_str().map_or(Value::Null, Value::from), Value::from)
}

pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Everything that the kustomization in this folder makes.
pub(crate) fn build(folder: &Path) -> Vec<Value> {
    let mut made = Vec::new();
    add(folder, &mut made);
    made
}

fn add(folder: &Path, made: &mut Vec<Value>) {
    let (path, file) = kustomization(folder);
    for resource in list(&file, "/resources") {
        let resource = folder.join(resource.as_str().expect("a resource is a path"));
        if resource.is_dir() { add(&resource, made) } else { made.extend(documents(&resource)) }
    }
    for map in list(&file, "/configMapGenerator") {
        let files = list(map, "/files").iter().filter_map(Value::as_str);
        let data: Map<String, Value> = files.map(|name| (name.to_owned(), written(folder, name))).collect();
        assert!(!data.is_empty(), "{}: a ConfigMap without files", path.display());
        let name = text(map, "/name");
        made.push(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}));
        let keeps_its_name = file.pointer("/generatorOptions/disableNameSuffixHash");
        assert_eq!(keeps_its_name, Some(&Value::Bool(true)), "{}: names with a hash are not known", path.display());
    }
    for component in list(&file, "/components") {
        add(&folder.join(component.as_str().expect("a component is a path")), made);
    }
    for entry in list(&file, "/patches") {
        for patch in documents(&folder.join(text(entry, "/path"))) {
            let target = |field: &str, own: &str| match text(entry, &format!("/target/{field}")) {
                "" => text(&patch, own).to_owned(),
                target => target.to_owned(),
            };
            let (kinds, name) = (target("kind", "/kind"), target("name", "/metadata/name"));
            let is_meant = |one: &&mut Value| {
                kinds.split('|').any(|kind| kind == text(one, "/kind")) && text(one, "/metadata/name") == name
            };
            let matched: Vec<&mut Value> = made.iter_mut().filter(is_meant).collect();
            assert_eq!(matched.len(), 1, "{}: {kinds} {name} is there so many times", path.display());
            for one in matched {
                patched(one, &patch["spec"]);
            }
        }
    }
}

/// The file of the folder, with nothing in it that is not known here.
fn kustomization(folder: &Path) -> (PathBuf, Value) {
    let path = folder.join("kustomization.yaml");
    let mut all = documents(&path);
    assert_eq!(all.len(), 1, "{}", path.display());
    let file = all.remove(0);
    for key in file.as_object().expect("it is a mapping").keys() {
        assert!(KNOWN.contains(&key.as_str()), "{}: {key} is not known here", path.display());
    }
    (path, file)
}

fn written(folder: &Path, name: &str) -> Value {
    let path = folder.join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

fn patched(resource: &mut Value, spec: &Value) {
    let before = resource.get_mut("spec").expect("what is patched has a spec");
    merge(before, spec, "spec");
}

/// By which field the elements of a list are known; `None`: the patch's list is taken for the whole.
fn known_by(list: &str) -> Option<&'static str> {
    match list {
        "containers" | "initContainers" | "volumes" | "env" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "ports" => Some("containerPort"),
        _ => None,
    }
}

/// A strategic merge. What a patch names in a list comes first, in the patch's order.
fn merge(into: &mut Value, patch: &Value, name: &str) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(into.entry(key.clone()).or_insert(Value::Null), value, key);
            }
        }
        (Value::Array(into), Value::Array(patch)) if known_by(name).is_some() => {
            let key = known_by(name).expect("it was seen");
            let mut before = std::mem::take(into);
            for value in patch {
                let place = before.iter().position(|old| old[key] == value[key]);
                let mut merged = place.map_or(Value::Null, |place| before.remove(place));
                merge(&mut merged, value, "");
                into.push(merged);
            }
            into.append(&mut before);
        }
        (into, patch) => *into = patch.clone(),
    }
}

#[test]
fn a_patch_is_merged_into_what_it_names() {
    let mut resource = json!({"spec": {
        "kept": 1,
        "containers": [{"name": "a", "args": ["x", "y"]}, {"name": "b", "env": [{"name": "E", "value": "1"}]}],
    }});
    let patch = json!({
        "new": 2,
        "containers": [{"name": "b", "env": [{"name": "F", "value": "2"}]}, {"name": "c"}],
    });

    patched(&mut resource, &patch);

    let env = json!([{"name": "F", "value": "2"}, {"name": "E", "value": "1"}]);
    let containers = json!([{"name": "b", "env": env}, {"name": "c"}, {"name": "a", "args": ["x", "y"]}]);
    assert_eq!(resource, json!({"spec": {"kept": 1, "new": 2, "containers": containers}}));
}
