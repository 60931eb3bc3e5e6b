"""Checks what a set of values renders to: rights, the operator's pod, names, and that what it refers to exists.

    manners.py CHECKOUT VALUES RENDERED
"""

import pathlib
import re
import sys

import yaml

checkout, values_file, rendered = map(pathlib.Path, sys.argv[1:])
values = yaml.safe_load(values_file.read_text())
objects = [o for o in yaml.safe_load_all(rendered.read_text()) if o]
wrong = []
OPERATOR = "flashsale-operator"
SYSTEM = "flashsale-system"


def expect(holds, message):
    if not holds:
        wrong.append(message)


def all_of(kind):
    return [o for o in objects if o["kind"] == kind]


def one(kind, name):
    found = [o for o in all_of(kind) if o["metadata"]["name"] == name]
    expect(len(found) == 1, f"{kind} {name}: {len(found)} of them")
    return found[0] if found else {"rules": [], "spec": {}}


def verbs(rules, group, resource):
    """What the rules allow with a resource, whatever its name."""
    allowed = set()
    for rule in rules:
        if group in rule["apiGroups"] and resource in rule["resources"] and "resourceNames" not in rule:
            allowed |= set(rule["verbs"])
    return allowed


READ = {"get", "list", "watch"}


def operator_rights():
    everywhere = one("ClusterRole", OPERATOR)["rules"]
    enabled = one("ClusterRole", f"{OPERATOR}-namespace")["rules"]
    own = one("Role", OPERATOR)["rules"]
    for secret in ("secrets", "configmaps"):
        expect(not verbs(everywhere, "", secret), f"the operator may {verbs(everywhere, '', secret)} all {secret}")
    for resource in ("flashsales", "flashsaleclasses", "flashsaleschedules", "flashsaledrills"):
        has = verbs(everywhere, "flashsale.dev", resource)
        expect(has == READ | {"patch"}, f"{resource} everywhere: {sorted(has)}")
        status = verbs(everywhere, "flashsale.dev", f"{resource}/status")
        expect("patch" in status, f"{resource}/status can't be written once the namespace goes")
    expect(not verbs(enabled, "", "secrets") & {"list", "watch"}, "Secrets of an enabled namespace can be listed")
    expect(not verbs(own, "", "secrets") - {"get"}, "Secrets of classes are more than read")
    # The API server lets nobody give what they don't have: this is what a control sidecar gets.
    has = verbs(enabled, "", "configmaps"), verbs(everywhere, "flashsale.dev", "flashsaleswitches")
    expect(all(READ <= verbs_of for verbs_of in has), "the operator can't make the control sidecars' Role")
    if values.get("mode") == "Namespaced":
        for group, resource in (("", "pods"), ("apps", "deployments"), ("apps", "statefulsets")):
            expect(not verbs(everywhere, group, resource), f"{resource} everywhere in mode Namespaced")
        expect(READ <= verbs(enabled, "", "pods"), "pods can't be seen in an enabled namespace")


def rights_in_general():
    for role in all_of("ClusterRole") + all_of("Role"):
        name = role["metadata"]["name"]
        for rule in role["rules"]:
            everything = [word for part in rule.values() for word in part if "*" in word]
            expect(not everything, f"{name}: {everything}")
            expect(not set(rule["verbs"]) & {"escalate", "bind", "impersonate", "deletecollection"}, f"{name}: {rule}")
            expect(not any("/exec" in r or "/attach" in r for r in rule["resources"]), f"{name}: {rule}")
    for binding in all_of("ClusterRoleBinding") + all_of("RoleBinding"):
        account = {"kind": "ServiceAccount", "name": OPERATOR, "namespace": SYSTEM}
        expect(binding["subjects"] == [account], f"{binding['metadata']}: {binding['subjects']}")
    where = sorted(b["metadata"]["namespace"] for b in all_of("RoleBinding"))
    expect(where == sorted({SYSTEM, *values.get("namespaces", [])}), f"RoleBindings in {where}")


def roles_for_people():
    writes = {
        "viewer": set(),
        "owner": {"flashsales", "flashsaleschedules", "flashsaledrills"},
        "sre": {"flashsaleswitches"},
    }
    for role, may_write in writes.items():
        if not values.get("roles", {}).get("create", True):
            expect(not [o for o in objects if o["metadata"]["name"] == f"flashsale-{role}"], f"{role} is there")
            continue
        rules = one("ClusterRole", f"flashsale-{role}")["rules"]
        written = {r for rule in rules if set(rule["verbs"]) - READ for r in rule["resources"]}
        expect(written == may_write, f"{role} writes {sorted(written)}")
        expect({r for rule in rules for r in rule["resources"] if "/" in r} == set(), f"{role}: a subresource")
        expect(READ <= verbs(rules, "flashsale.dev", "flashsaleclasses"), f"{role} doesn't see classes")
        expect({g for rule in rules for g in rule["apiGroups"]} == {"flashsale.dev"}, f"{role}: another group")


def milli(cpu):
    text = str(cpu)
    return int(text.removesuffix("m")) if text.endswith("m") else int(float(text) * 1000)


def priority(used):
    """A class of the operator's own exists if and only if its pods are in it, and pushes nobody off a node unasked."""
    wanted = values.get("priorityClass", {})
    own = wanted.get("create", False) and not values.get("priorityClassName")
    expect(used == (OPERATOR if own else values.get("priorityClassName")), f"priority class {used}")
    expect(len(all_of("PriorityClass")) == own, f"{len(all_of('PriorityClass'))} priority classes")
    for o in all_of("PriorityClass"):
        policy = wanted.get("preemptionPolicy", "Never")
        expect(o["preemptionPolicy"] == policy and not o["globalDefault"], f"{o}")
        expect(o["value"] == wanted.get("value", 1000000), f"{o}")


def operator_pod():
    spec = one("Deployment", OPERATOR)["spec"]["template"]["spec"]
    [container] = spec["containers"]
    pod, own = spec["securityContext"], container["securityContext"]
    expect(pod["runAsNonRoot"] and pod["seccompProfile"] == {"type": "RuntimeDefault"}, f"restricted: {pod}")
    expect(own["readOnlyRootFilesystem"] and not own["allowPrivilegeEscalation"], f"restricted: {own}")
    expect(own["capabilities"] == {"drop": ["ALL"]}, f"restricted: {own}")
    expect("memory" in container["resources"]["limits"], "no limit of memory")
    expect({"livenessProbe", "readinessProbe"} <= container.keys(), "no probes")
    expect(len(spec["topologySpreadConstraints"]) == 2, "not spread")
    gateway = (checkout / "operator/core/src/render/gateway.rs").read_text()
    asked = re.search(r'amounts\(given, "(\d+)m"', gateway)[1]
    own_share = milli(container["resources"]["requests"]["cpu"])
    expect(own_share >= int(asked), f"{own_share}m of a node full of gateways, which ask for {asked}m each")
    priority(spec.get("priorityClassName"))
    replicas = one("Deployment", OPERATOR)["spec"]["replicas"]
    expect(len(all_of("PodDisruptionBudget")) == (replicas > 1), f"{replicas} replicas and the budget")
    flags = (checkout / "operator/src/flags.rs").read_text()
    fields = re.findall(r"#\[arg\(([^]]*)\)\]\s*pub\(crate\) (\w+):", flags)
    named = [(re.search(r'\blong(?: = "([\w-]+)")?', options), field) for options, field in fields]
    known = {found[1] or field.replace("_", "-") for found, field in named if found}
    for argument in container["args"]:
        flag = argument.split("=")[0].removeprefix("--")
        expect(flag in known, f"the operator has no --{flag}; it has {sorted(known)}")
        expect(not argument.endswith("="), f"{argument} is empty")


def definitions():
    kept = all_of("CustomResourceDefinition")
    installed = values.get("crds", {}).get("install", True)
    expect(bool(kept) == installed, f"{len(kept)} definitions")
    generated = {file.name for file in (checkout / "crds/generated").glob("*.yaml")}
    names = {c["metadata"]["name"].split(".")[0] + ".yaml" for c in kept}
    expect(names == (generated if installed else set()), f"{names} instead of {generated}")
    for crd in kept:
        policy = crd["metadata"]["annotations"].get("helm.sh/resource-policy")
        expect(policy == "keep", f"{crd['metadata']['name']} goes with the release")


def metrics_that_exist():
    declared = set()
    for file in (*(checkout / "dataplane/src").glob("metrics*.rs"), *(checkout / "operator/src").glob("metrics*.rs")):
        declared |= set(re.findall(r'"(flashsale_\w+)"', file.read_text()))
    declared |= {name + suffix for name in declared for suffix in ("_bucket", "_count", "_sum")}
    used = set()
    for o in all_of("PrometheusRule") + all_of("ConfigMap"):
        used |= set(re.findall(r"\bflashsale_[a-z_]+\b", str(o.get("spec") or o.get("data"))))
    expect(used <= declared, f"no such metrics: {sorted(used - declared)}")


def names():
    seen = set()
    for o in objects:
        key = o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]
        expect(key not in seen, f"twice: {key}")
        seen.add(key)
        if o["kind"] not in ("CustomResourceDefinition",):
            expect(o["metadata"]["labels"]["app.kubernetes.io/part-of"] == "flashsale", f"no labels: {key}")


for part in (operator_rights, rights_in_general, roles_for_people, operator_pod, definitions, metrics_that_exist, names):
    part()
print("\n".join(wrong))
sys.exit(bool(wrong))
