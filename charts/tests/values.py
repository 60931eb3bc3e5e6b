"""Holds the chart's schema against its values: each value that has a default is known to the schema with its type, and no
object takes keys that aren't named, apart from those whose keys are the user's own."""

import json
import pathlib
import sys

import yaml

# Their keys are Kubernetes' or the user's.
OPEN = {"tolerations", "affinity", "nodeSelector", "class.spec", "global"}


def resolve(schema, root):
    while "$ref" in schema:
        schema = root["definitions"][schema["$ref"].removeprefix("#/definitions/")]
    return schema


def unknown(values, schema, root, path=""):
    schema = resolve(schema, root)
    if not isinstance(values, dict) or path in OPEN or "properties" not in schema:
        return []
    found = [f"{path or 'the root'} takes any key"] if schema.get("additionalProperties") is not False else []
    for key, value in values.items():
        where = f"{path}.{key}" if path else key
        if key not in schema["properties"]:
            found.append(f"{where} has a default and isn't in the schema")
        else:
            found += unknown(value, schema["properties"][key], root, where)
    for key in schema["properties"]:
        where = f"{path}.{key}" if path else key
        if key not in values and where not in OPEN:
            found.append(f"{where} is in the schema and not in values.yaml")
    return found


def main():
    chart = pathlib.Path(sys.argv[1])
    schema = json.loads((chart / "values.schema.json").read_text())
    found = unknown(yaml.safe_load((chart / "values.yaml").read_text()), schema, schema)
    print("\n".join(found))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
