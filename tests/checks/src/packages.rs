//! The rule for the page of packages: each package of the design has a row that says whether it is used, and Cargo says the same.
//! It reads names, not versions.

use crate::Finding;
use crate::dependencies::dependency_lines;
use crate::files::File;

/// The packages that the design names.
pub const DESIGNED: [&str; 13] = [
    "glommio",
    "io-uring",
    "simd-json",
    "rustc-hash",
    "sha2",
    "hmac",
    "ed25519-dalek",
    "crossbeam",
    "hdrhistogram",
    "criterion",
    "redis",
    "prometheus",
    "core_affinity",
];

/// Rows of the page that say other than `Cargo.toml` and `Cargo.lock` do, and packages of the design without a row.
pub fn told_otherwise(page: &File, manifest: &File, lock: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in DESIGNED {
        let row = (1..)
            .zip(page.text.lines())
            .find(|(_, line)| line.starts_with(&format!("| `{name}` |")));
        let Some((number, row)) = row else {
            let what = format!("has no row for `{name}`");
            findings.push(Finding::at(page, 0, what));
            continue;
        };
        let verdict = row.split('|').nth(2).map_or("", str::trim);
        let wrong = match verdict {
            "used" if !is_declared(manifest, name) => "Cargo.toml does not declare it",
            "used" if !is_locked(lock, name) => "Cargo.lock does not have it",
            "not used" if is_declared(manifest, name) => "Cargo.toml declares it",
            "used" | "not used" => continue,
            _ => "the second cell is `used` or `not used`",
        };
        let what = format!("`{name}` is said to be `{verdict}`: {wrong}");
        findings.push(Finding::at(page, number, what));
    }
    findings
}

fn is_declared(manifest: &File, name: &str) -> bool {
    let begins = |line: &str| line.split([' ', '=', '.']).next() == Some(name);
    let mut lines = dependency_lines(&manifest.text, "[workspace.dependencies]");
    lines.any(|(_, line)| begins(line))
}

fn is_locked(lock: &File, name: &str) -> bool {
    let line = format!("name = \"{name}\"");
    lock.text.lines().any(|it| it == line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Findings of a page whose rows are all right but for these packages.
    fn found(rows: &[(&str, &str)]) -> Vec<String> {
        let row = |name: &str| {
            let own = rows.iter().find(|(known, _)| *known == name);
            let verdict = own.map_or("not used", |(_, verdict)| verdict);
            format!("| `{name}` | {verdict} | why |\n")
        };
        let page: String = DESIGNED.iter().map(|name| row(name)).collect();
        let manifest = "[workspace]\nsha2 = 1\n[workspace.dependencies]\nhmac = \"1\" # why\nredis = \"1\" # why\n[profile.dev]\ncriterion = 1\n";
        let lock = "[[package]]\nname = \"hmac\"\n\n[[package]]\nname = \"rustc-hash\"\n";
        let found = told_otherwise(
            &File::of("page.md", &page),
            &File::of("Cargo.toml", manifest),
            &File::of("Cargo.lock", lock),
        );
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_said_to_be_used_is_declared_and_locked() {
        let right = [("hmac", "used"), ("redis", "used")];
        let wrong = found(&right);
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(
            wrong[0].contains("`redis` is said to be `used`: Cargo.lock"),
            "{wrong:?}"
        );
        let wrong = found(&[right[0], ("redis", "used"), ("sha2", "used")]);
        assert!(
            wrong
                .iter()
                .any(|it| it.contains("`sha2`") && it.contains("Cargo.toml does not"))
        );
    }

    #[test]
    fn what_is_said_to_be_unused_is_not_declared_and_may_be_locked() {
        let wrong = found(&[("hmac", "used")]);
        assert_eq!(wrong.len(), 1, "rustc-hash is locked for others: {wrong:?}");
        assert!(wrong[0].contains("`redis` is said to be `not used`: Cargo.toml declares it"));
    }

    #[test]
    fn a_row_that_is_missing_or_says_neither_is_found() {
        let wrong = found(&[("hmac", "perhaps"), ("redis", "used")]);
        assert!(
            wrong.iter().any(|it| it.contains("the second cell")),
            "{wrong:?}"
        );
        let empty = File::of("page.md", "");
        let all = told_otherwise(&empty, &empty, &empty);
        assert_eq!(all.len(), DESIGNED.len());
    }
}
