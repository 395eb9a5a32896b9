//! Tenants as `flk config show` has them: limits, parameter sets and keys, with where each comes from. Of a key the source is
//! shown and the fingerprint, where the key is on this machine; never the key.

use flk_dataplane::config::shown_source;
use flk_dataplane::config::{Mended, Variable, time};
use flk_dataplane::snapshot::{
    KeyDocument, LimitsDocument, ParamsDocument, Source, TenantDocument,
};
use serde_json::{Value, json};

/// One line of the text form: its name, its value, and where it comes from.
pub(super) struct Line {
    pub(super) key: String,
    pub(super) text: String,
    pub(super) origin: String,
}

/// The tenants of settings.
pub(super) struct Tenants<'a>(pub(super) &'a Mended);

impl Tenants<'_> {
    /// All of them; without a key in the settings there is none of requests that name none.
    fn all(&self) -> impl Iterator<Item = &TenantDocument> {
        let keys = [Variable::HmacKey.name(), Variable::Ed25519Pub.name()];
        let mistakes = &self.0.mistakes;
        let has_none = mistakes.iter().any(|it| keys.contains(&it.variable));
        let config = self.0.config.iter();
        let tenants = config.flat_map(|it| &it.document.tenants);
        tenants.filter(move |it| !(has_none && it.name == "default"))
    }

    /// Lines for people: one for a tenant, and one for each of its keys behind it.
    pub(super) fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for tenant in self.all() {
            let key = format!("tenants.{}", tenant.name);
            let origin = self.0.raw.origin_of_tenant(&tenant.name).to_string();
            for id in &tenant.keys {
                lines.push(Line {
                    key: format!("{key}.keys.{}", id.id),
                    text: self.key_text(tenant, id),
                    origin: origin.clone(),
                });
            }
            let text = tenant_text(tenant);
            lines.insert(lines.len() - tenant.keys.len(), Line { key, text, origin });
        }
        lines
    }

    /// Objects for programs.
    pub(super) fn objects(&self) -> Vec<Value> {
        let object = |tenant: &TenantDocument| {
            let keys = tenant.keys.iter().map(|key| self.key_object(tenant, key));
            let params = tenant.params.iter();
            let params = params.map(|it| {
                let effective_from = it.effective_from.map(time::show);
                json!({"version": it.version, "share": it.share, "effective_from": effective_from})
            });
            json!({
                "tenant": tenant.name, "enabled": tenant.enabled, "unsigned": tenant.unsigned,
                "limits": tenant.limits, "wal_share": tenant.wal_share.unwrap_or(100), "home": tenant.home,
                "params": params.collect::<Vec<_>>(),
                "keys": keys.collect::<Vec<_>>(),
                "origin": self.0.raw.origin_of_tenant(&tenant.name).to_string(),
            })
        };
        self.all().map(object).collect()
    }

    /// Its fingerprint and its source; of a key that is not here no fingerprint is known.
    fn known(&self, tenant: &TenantDocument, key: &KeyDocument) -> (Option<String>, String) {
        let place = (tenant.name.clone(), key.id.clone());
        let elsewhere: Option<&Source> = self.0.stand_ins.get(&place);
        let fingerprint = elsewhere.is_none().then(|| key.fingerprint.clone());
        (fingerprint, shown_source(elsewhere.unwrap_or(&key.source)))
    }

    fn key_text(&self, tenant: &TenantDocument, key: &KeyDocument) -> String {
        let (fingerprint, source) = self.known(tenant, key);
        let times = times(key).into_iter();
        let times = times.filter_map(|(name, at)| Some(format!(", {name} {}", at?)));
        format!(
            "{source}, {}, {}{}",
            key.scheme,
            match fingerprint {
                Some(fingerprint) => format!("fingerprint {fingerprint}"),
                None => "not on this machine".to_owned(),
            },
            times.collect::<String>()
        )
    }

    fn key_object(&self, tenant: &TenantDocument, key: &KeyDocument) -> Value {
        let (fingerprint, source) = self.known(tenant, key);
        let mut object = json!({
            "id": key.id, "scheme": key.scheme, "source": source, "fingerprint": fingerprint,
        });
        for (name, at) in times(key) {
            object[name] = json!(at);
        }
        object
    }
}

fn times(key: &KeyDocument) -> [(&'static str, Option<String>); 3] {
    [
        ("not_before", key.not_before.map(time::show)),
        ("not_after", key.not_after.map(time::show)),
        ("revoked_at", key.revoked_at.map(time::show)),
    ]
}

fn tenant_text(tenant: &TenantDocument) -> String {
    let mut parts = vec![match tenant.enabled {
        true => "enabled".to_owned(),
        false => "not enabled".to_owned(),
    }];
    if tenant.unsigned {
        parts.push("unsigned".to_owned());
    }
    parts.extend(limits(&tenant.limits));
    parts.extend(tenant.wal_share.map(|it| format!("wal_share {it}")));
    parts.extend(tenant.home.as_ref().map(|it| format!("home {it}")));
    parts.extend(tenant.params.iter().map(params_text));
    parts.join(", ")
}

fn params_text(set: &ParamsDocument) -> String {
    let share = match set.share {
        1000 => String::new(),
        share => format!(" for {share} of 1000"),
    };
    let from = set.effective_from.map(time::show);
    let from = from.map_or_else(String::new, |it| format!(" from {it}"));
    format!("parameters {}{share}{from}", set.version)
}

/// Those that are set, by the names that they have in the file.
fn limits(limits: &LimitsDocument) -> Vec<String> {
    let all = [
        ("rate", u64::from(limits.rate)),
        ("burst", u64::from(limits.burst)),
        ("bytes_per_second", limits.bytes_per_s),
        (
            "unauthenticated_bytes_per_second",
            limits.unauthenticated_bytes_per_s,
        ),
    ];
    let set = all.into_iter().filter(|(_, limit)| *limit > 0);
    set.map(|(name, limit)| format!("{name} {limit}")).collect()
}
