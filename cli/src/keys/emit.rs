//! A key as orchestrators want it: texts to apply or to put into a file, each with what to do and what not. It writes no file.

use super::alg::Alg;

/// Who wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Form {
    /// Secret and ConfigMap of Kubernetes
    K8s,
    /// Values of a Helm chart
    Helm,
    /// Services of a Compose file
    Compose,
    /// Variables of the environment
    Env,
}

/// What is printed.
pub(super) struct Parts<'a> {
    pub(super) alg: Alg,
    pub(super) tenant: &'a str,
    pub(super) fingerprint: &'a str,
    pub(super) date: &'a str,
    /// The secret part, or what stands for it.
    pub(super) secret: &'a str,
    /// Empty for HMAC.
    pub(super) public: &'a str,
    /// Commands that bring it to the gateway, each with what it is for.
    pub(super) next: &'a [String],
}

pub(super) fn text(form: Form, parts: &Parts<'_>) -> String {
    let body = match (form, parts.alg) {
        (Form::K8s, Alg::Ed25519) => k8s_ed25519(parts),
        (Form::K8s, Alg::Hmac) => k8s_hmac(parts),
        (Form::Helm, _) => helm(parts),
        (Form::Compose, _) => compose(parts),
        (Form::Env, _) => env(parts),
    };
    format!("{}{body}", advice(parts))
}

/// What to do and what not, as comments of every form.
fn advice(parts: &Parts<'_>) -> String {
    let Parts {
        tenant,
        fingerprint,
        date,
        next,
        ..
    } = parts;
    let (kind, of_alg) = match parts.alg {
        Alg::Ed25519 => (
            "Ed25519",
            "# DO give the private part to the agents only; a gateway needs the public part and nothing else.\n\
             # DON'T put the private part into a ConfigMap, an image, values.yaml or a repository.\n",
        ),
        Alg::Hmac => (
            "HMAC",
            "# DO give it to the agents of this tenant and to the gateway; who has it can sign.\n\
             # DON'T put it into a ConfigMap, an image, values.yaml or a repository.\n",
        ),
    };
    let commands = match *tenant {
        "default" => String::new(),
        _ => {
            let lines = next.iter().map(|it| format!("#   {it}\n"));
            format!(
                "# The gateway takes keys of tenant {tenant} from its configuration file, not from variables:\n{}",
                lines.collect::<String>()
            )
        }
    };
    format!(
        "# {kind} key of tenant {tenant}, made {date}, fingerprint {fingerprint}.\n{of_alg}\
         # DO encrypt what holds it (SOPS, Sealed Secrets) before it goes into Git.\n\
         # DO replace it after 90 days: flk keys rotate, with both keys active for 14 days.\n\
         # DON'T reuse it for another tenant or environment.\n{commands}"
    )
}

fn k8s_ed25519(parts: &Parts<'_>) -> String {
    let Parts { secret, public, .. } = parts;
    format!(
        "apiVersion: v1
kind: Secret
metadata:
  name: pcs-ed25519-agent-secret # in the namespace of the agents
type: Opaque
stringData:
  PCS_ED25519_PRIV_B64: \"{secret}\"
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: pcs-ed25519-config # in the namespace of the gateway
data:
  PCS_SIGN_ALG: \"ed25519\"
  PCS_ED25519_PUB_B64: \"{public}\"
"
    )
}

fn k8s_hmac(parts: &Parts<'_>) -> String {
    format!(
        "apiVersion: v1
kind: Secret
metadata:
  name: pcs-hmac-secret # in the namespaces of the agents and of the gateway
type: Opaque
stringData:
  PCS_HMAC_KEY: \"{}\"
",
        parts.secret
    )
}

/// Values name the objects of `--emit k8s` and hold no secret.
fn helm(parts: &Parts<'_>) -> String {
    match parts.alg {
        Alg::Ed25519 => format!(
            "# The agents' Secret pcs-ed25519-agent-secret is not part of the values: kubectl create secret generic
#   pcs-ed25519-agent-secret --from-file=PCS_ED25519_PRIV_B64=FILE, or --emit k8s. Its text: {}
signing:
  enabled: true
  alg: ed25519
  ed25519:
    configMap: pcs-ed25519-config
    publicB64: \"{}\"
",
            parts.secret, parts.public
        ),
        Alg::Hmac => format!(
            "# The Secret pcs-hmac-secret is not part of the values: kubectl create secret generic pcs-hmac-secret
#   --from-file=PCS_HMAC_KEY=FILE, or --emit k8s. Its text: {}
signing:
  enabled: true
  alg: hmac
  hmac:
    secret: pcs-hmac-secret
",
            parts.secret
        ),
    }
}

fn compose(parts: &Parts<'_>) -> String {
    let Parts { secret, public, .. } = parts;
    match parts.alg {
        Alg::Ed25519 => format!(
            "services:
  gateway:
    environment:
      PCS_SIGN_ALG: ed25519
      PCS_ED25519_PUB_B64: \"{public}\"
  agent:
    environment:
      PCS_SIGN_ALG: ed25519
      PCS_ED25519_PRIV_B64: \"{secret}\"
"
        ),
        Alg::Hmac => format!(
            "services:
  gateway:
    environment:
      PCS_SIGN_ALG: hmac
      PCS_HMAC_KEY: \"{secret}\"
  agent:
    environment:
      PCS_SIGN_ALG: hmac
      PCS_HMAC_KEY: \"{secret}\"
"
        ),
    }
}

fn env(parts: &Parts<'_>) -> String {
    let Parts { secret, public, .. } = parts;
    match parts.alg {
        Alg::Ed25519 => format!(
            "# agent
PCS_SIGN_ALG=ed25519
PCS_ED25519_PRIV_B64={secret}
# gateway: these two, and never the one above
# PCS_SIGN_ALG=ed25519
# PCS_ED25519_PUB_B64={public}
"
        ),
        Alg::Hmac => format!(
            "# agent and gateway
PCS_SIGN_ALG=hmac
PCS_HMAC_KEY={secret}
"
        ),
    }
}
