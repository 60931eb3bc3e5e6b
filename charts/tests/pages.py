"""Holds docs/troubleshooting.md against what can be seen: a section for every reason that the operator gives, and for every
alert; and the alerts against their tests: a case that fires and one that doesn't."""

import pathlib
import re
import sys

import yaml

checkout = pathlib.Path(sys.argv[1])
wrong = []
page = (checkout / "docs/troubleshooting.md").read_text()
sections = set(re.findall(r"^#+ (\w+)$", page, re.M))

# These say that nothing is wrong, or only that it is early.
FINE = set(
    "Accepted AddsUp Applied Armed AsItShould Done Draining Failed Loaded Moving NotAccepted Open Over Pending "
    "Provisioned Provisioning Purged Registering Scheduled Settled Settling Taken TornDown Warming".split()
)
core = checkout / "operator/core/src"
files = [core / f"{name}.rs" for name in ("accept", "conditions", "gates", "pages", "teardown", "tell")]
files += sorted((core / "conditions").glob("*.rs"))
source = "".join(file.read_text().split("#[cfg(test)]")[0] for file in files)
kinds = set(re.findall(r'(?:said\(\s*|(?:kind|"type"): )"(\w+)"', source)) | set(re.findall(r'(?:blocking|advisory)\(\s*"(\w+)"', source))
reasons = set(re.findall(r'"([A-Z][a-z]+[A-Z]?\w*)"', source)) - kinds - FINE
named = sections | set(re.findall(r"`(\w+)`", page))
if len(reasons) < 30:
    wrong.append(f"only {len(reasons)} reasons were found in operator/core: are they written in another way now?")
wrong += [f"the operator can say {reason}, and the page doesn't" for reason in sorted(reasons - named)]

alerts = [
    rule
    for group in yaml.safe_load((checkout / "charts/flashsale/files/alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
tested = [
    case
    for test in yaml.safe_load((checkout / "charts/tests/alerts.yaml").read_text())["tests"]
    for case in test["alert_rule_test"]
]
for alert in alerts:
    name = alert["alert"]
    if name not in sections:
        wrong.append(f"{name} has no section")
    if alert["annotations"]["runbook"] != f"docs/troubleshooting.md#{name.lower()}":
        wrong.append(f"{name}: its runbook is {alert['annotations']['runbook']}")
    cases = [case["exp_alerts"] for case in tested if case["alertname"] == name]
    if not any(cases) or all(cases):
        wrong.append(f"{name} needs a case in which it fires and one in which it doesn't")

for link in re.findall(r"\]\(#([\w-]+)\)", page):
    known = {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", page, re.M)}
    if link not in known:
        wrong.append(f"the page links to #{link}, which it doesn't have")

print("\n".join(wrong))
sys.exit(bool(wrong))
