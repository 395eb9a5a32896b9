"""Renders the chart with the real helm. It knows where things are and how a render is compared; it asserts nothing."""

import difflib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/flk"
GOLDEN = Path(__file__).parent / "golden"
# A helm that is built from its module does not know the Kubernetes that its releases are made for.
KUBERNETES = ["--kube-version", "1.34.0"]
RELEASE = ["flk", str(CHART), "--namespace", "ingest", *KUBERNETES]

# What a render differs in, by the values that make the difference. Each has a golden file.
TOGGLES = {
    "production": ["-f", str(CHART / "values-production.yaml")],
    "unpinned": ["--set", "resources.profile=unpinned"],
    "cores": ["--set", "resources.cpu.cores=8,resources.memory=16Gi"],
    "unsigned": ["--set", "signing.enabled=false"],
    "signing-payload": ["--set", "signing.alg=hmac-sha256-payload;num=fixed9"],
    "signing-ed25519": ["--set", "signing.alg=ed25519"],
    "signing-ed25519-public": [
        "--set", "signing.alg=ed25519,signing.ed25519.publicB64=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    ],
    "metrics-basic-auth": ["--set", "metricsBasicAuth.enabled=true"],
    "dedup-backend": ["--set", "env.dedupBackend=memory"],
    "settings": [
        "--set", "config.limits.rate=5000,config.dedup.ttl=7d,config.wal.max_age=2d,config.http.look_ups=on,config.traces.sample=0.01",
    ],
    "tenants": ["-f", str(GOLDEN / "tenants.values.yaml")],
    "age": ["--set", "age.secret=flk-age"],
    "region": ["--set", "region.id=eu-west"],
    "control-off": ["--set", "control.enabled=false"],
    "control-tokens": ["--set", "control.tokensSecret=flk-admin-tokens"],
    "one-replica": ["--set", "replicaCount=1,autoscaling.enabled=false,podDisruptionBudget.enabled=false"],
    "autoscaling-down": ["--set", "autoscaling.scaleDown=true"],
    "ingress": ["--set", "ingress.enabled=true,ingress.host=flk.example.com,ingress.tlsSecret=flk-tls"],
    "ingress-client-ca": [
        "--set", "ingress.enabled=true,ingress.host=flk.example.com,ingress.tlsSecret=flk-tls,ingress.clientCaSecret=ingest/agents-ca",
        "--set", "ingress.limits.requestsPerSecond=0,ingress.limits.connections=0",
    ],
    "network-policy-off": ["--set", "networkPolicy.enabled=false"],
    "network-policy-agents": ["--set", "networkPolicy.agents.namespaceLabels.team=ingest"],
    "seccomp-localhost": ["--set", "seccomp.type=Localhost"],
    "spread-off": ["--set", "topologySpread.zones=off,antiAffinity.hosts=off"],
    "spread-preferred": ["--set", "topologySpread.zones=ScheduleAnyway,antiAffinity.hosts=preferred"],
    "storage": [
        "--set", "persistence.size=500Gi,persistence.storageClass=fast,persistence.whenDeleted=Delete",
    ],
    "service": ["--set", "service.type=LoadBalancer,service.affinitySeconds=0"],
    "service-account": ["--set", "serviceAccount.create=false,serviceAccount.name=ingest"],
    "placement": [
        "--set", "nodeSelector.pool=ingest,priorityClassName=ingest,tolerations[0].key=ingest,tolerations[0].operator=Exists",
        "--set", "podLabels.team=ingest,podAnnotations.note=kept,imagePullSecrets[0]=registry",
    ],
    "service-monitor": ["--set", "serviceMonitor.enabled=true"],
    "prometheus-rule": ["--set", "prometheusRule.enabled=true"],
    "dashboards": ["--set", "dashboards.enabled=true"],
    "test-records-off": ["--set", "test.records=false"],
}


def helm(*arguments, check=True):
    """Runs helm without a cluster; what it says comes back."""
    tool = os.environ["FLK_HELM"]
    ran = subprocess.run([tool, *arguments], capture_output=True, text=True, env={"HOME": "/nonexistent", "PATH": "/nonexistent"})
    if check and ran.returncode:
        raise AssertionError(f"helm {' '.join(arguments)}: {ran.stderr}")
    return ran


def render(*values, check=True):
    """The text of all manifests."""
    return helm("template", *RELEASE, *values, check=check)


def notes(*values):
    """What a release says at its end. Helm shows it with a cluster only, so a copy of the chart has it in a manifest."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(shutil.copytree(CHART, Path(directory, CHART.name)))
        text = (copy / "templates/NOTES.txt").read_text()
        (copy / "templates/_notes.tpl").write_text('{{- define "test.notes" -}}' + text + "{{- end -}}")
        (copy / "templates/notes.yaml").write_text('kind: Notes\nmetadata: {name: notes}\ntext: {{ include "test.notes" . | toJson }}\n')
        shown = helm("template", "flk", str(copy), "--namespace", "ingest", *KUBERNETES, "--show-only", "templates/notes.yaml", *values)
        return yaml.safe_load(shown.stdout)["text"].rstrip() + "\n"


def objects(*values):
    """All objects of a render."""
    return [it for it in yaml.safe_load_all(render(*values).stdout) if it]


def only(kind, found, ending=""):
    """The one object of a kind, of those whose name ends so."""
    [it] = [it for it in found if it["kind"] == kind and it["metadata"]["name"].endswith(ending)]
    return it


def shortened(text):
    """A render without what the chart takes from files as it is: they have tests of their own."""
    for path in sorted((CHART / "files").rglob("*.*")):
        for indent in (2, 4):
            pad = " " * indent
            block = "".join(f"{pad}{line}".rstrip(" ") + "\n" for line in path.read_text().splitlines())
            raw = "".join(f"{pad}{line}\n" for line in path.read_text().splitlines())
            for form in (block, raw):
                text = text.replace(form, f"{pad}# the content of {path.relative_to(CHART)}\n")
    return text


def compared(name, text, default):
    """What is committed for a render: all of the default one, and of others how they differ from it."""
    if name == "default":
        return text
    lines = difflib.unified_diff(default.splitlines(), text.splitlines(), "default", name, lineterm="", n=2)
    return "".join(f"{line}\n" for line in lines)


def renders():
    """Name and committed form of every golden file."""
    default = shortened(render().stdout)
    yield "default.yaml", default
    for name, values in TOGGLES.items():
        yield f"{name}.diff", compared(name, shortened(render(*values).stdout), default)
    for name in ("default", "production"):
        yield f"{name}.notes", notes(*TOGGLES.get(name, []))


def write_golden():
    """Makes the golden files anew; review the diff like code."""
    for path in (*GOLDEN.glob("*.diff"), *GOLDEN.glob("*.notes")):
        path.unlink()
    for name, text in renders():
        (GOLDEN / name).write_text(text)


def schema():
    """values.schema.json."""
    return json.loads((CHART / "values.schema.json").read_text())


def paths(value, at=""):
    """Each key of nested maps, with dots between them; an empty map counts as a value."""
    for key, inner in value.items():
        path = f"{at}.{key}".lstrip(".")
        yield path
        if isinstance(inner, dict):
            yield from paths(inner, path)


def environment(container):
    """Variables of a container that have their value in the manifest."""
    return {it["name"]: it["value"] for it in container["env"] if "value" in it}


def schemas(directory, versions):
    """The schemas of API servers, as kubeconform finds them in a directory. Those of PyPI name each other by addresses of the internet."""
    for version in versions:
        source = Path(os.environ["FLK_KUBERNETES_SCHEMAS"], f"v{version}-local-strict")
        target = Path(directory, source.name)
        target.mkdir()
        for path in source.glob("*.json"):
            text = path.read_text()
            text = re.sub(r'"\$id": "[^"]*",?', "", text).replace('"/api/_definitions.json#', '"_definitions.json#')
            (target / path.name).write_text(re.sub(r",(\s*\})\s*$", r"\1", text))
    return f"{directory}/{{{{.NormalizedKubernetesVersion}}}}-local{{{{.StrictSuffix}}}}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"


def words(text):
    """What an error says, in one line."""
    return re.sub(r"\s+", " ", text)


if __name__ == "__main__":
    write_golden()
