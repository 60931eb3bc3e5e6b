"""Turns what the API server knows of its objects into JSON schemas for kubeconform, one file per kind.

    schemas.py OUT openapi SWAGGER.json…     the kinds of Kubernetes itself
    schemas.py OUT crds FILE.yaml…           custom resources

Unknown fields are refused in both, as `kubectl apply --validate=strict` does.
"""

import json
import pathlib
import sys

import yaml

REF = "#/definitions/"
# A bare `=`, as some definitions have it in an enum, is a text.
yaml.SafeLoader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)
# The API server reads these from numbers, too.
LOOSE = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
}


def write(out, kind, group, version, schema):
    # kubeconform's own pattern, {{.ResourceKind}}{{.KindSuffix}}: of the group the first word.
    words = [kind, group.split(".")[0], version] if group else [kind, version]
    (out / ("-".join(words).lower() + ".json")).write_text(json.dumps(schema))


def strict(schema):
    """Refuses fields that an object's properties don't name."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(part) for name, part in schema.items()}
    if isinstance(schema.get("properties"), dict):
        made["properties"] = {name: strict(part) for name, part in schema["properties"].items()}
        open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
        if not open_ended:
            made["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    return made


def reachable(definitions, name):
    found, todo = {}, [name]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found[name] = LOOSE.get(name) or strict(definitions[name])
        text = json.dumps(found[name])
        todo += [part.split('"')[0] for part in text.split(REF)[1:]]
    return found


def openapi(out, file):
    definitions = json.loads(pathlib.Path(file).read_text())["definitions"]
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            schema = {"$ref": REF + name, "definitions": reachable(definitions, name)}
            write(out, kind["kind"], kind["group"], kind["version"], schema)


def crds(out, file):
    for crd in yaml.safe_load_all(pathlib.Path(file).read_text()):
        if not crd or crd.get("kind") != "CustomResourceDefinition":
            continue
        for version in crd["spec"]["versions"]:
            schema = dict(version["schema"]["openAPIV3Schema"])
            # What Kubernetes adds to each resource by itself.
            known = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
            schema["properties"] = {**schema.get("properties", {}), **known}
            write(out, crd["spec"]["names"]["kind"], crd["spec"]["group"], version["name"], strict(schema))


def main():
    out, what, *files = sys.argv[1:]
    pathlib.Path(out).mkdir(parents=True, exist_ok=True)
    for file in files:
        {"openapi": openapi, "crds": crds}[what](pathlib.Path(out), file)


if __name__ == "__main__":
    main()
