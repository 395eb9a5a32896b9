//! New keys: where their parts are, and what is printed of them.

use super::common::{flk, golden_bytes, run};
use super::{check, directory, done, keys, text};
use std::os::unix::fs::MetadataExt;

#[test]
fn a_new_key_is_in_a_file_for_its_owner_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let generate = |args: &[&str]| run(flk(dir.path()).args(["keys", "generate"]).args(args), b"");
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let made = generate(&["--tenant", "acme", "--output", "json"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let name = made.json()[0]["secret_file"].as_str().unwrap().to_owned();
    assert!(
        name.starts_with("acme-hmac-2") && name.ends_with(".secret"),
        "{name}"
    );
    let secret = read(&name);
    assert_eq!(secret.len(), 64);
    assert!(!made.stdout.contains(&secret));
    let again = generate(&["--tenant", "acme"]);
    assert_eq!(again.code, 2, "a key is never overwritten");
    assert_eq!(read(&name), secret);

    let made = generate(&["--alg", "ed25519", "--out", "a.private"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let (private, public) = (read("a.private"), read("a.public"));
    assert!(!made.stdout.contains(&private) && made.stdout.contains(public.trim()));
    for (name, mode) in [(name.as_str(), 0o600), ("a.private", 0o600)] {
        let found = std::fs::metadata(dir.path().join(name)).unwrap().mode();
        assert_eq!(found & 0o777, mode, "{name}");
    }
    // What the two sign and verify fits.
    let record = golden_bytes("records/pcs_tiny_case_1.json");
    let args = ["pcs", "sign", "--alg", "ed25519", "--key-file"];
    let signed = run(flk(dir.path()).args(args).arg("a.private"), &record);
    assert_eq!(signed.code, 0, "{}", signed.stderr);
    let args = ["pcs", "verify", "--alg", "ed25519", "--key-file"];
    let verified = run(
        flk(dir.path()).args(args).arg("a.public"),
        signed.stdout.as_bytes(),
    );
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

#[test]
fn a_private_part_is_never_taken_for_a_public_one() {
    let dir = directory();
    let args = ["--alg", "ed25519", "--tenant", "acme", "--out", "a.private"];
    done(&dir, &[&["generate"], &args[..]].concat());
    let rotate = ["rotate", "acme", "--scheme", "ed25519", "--key-file"];
    let wrong = keys(&dir, &[&rotate[..], &["a.private"]].concat());
    assert_eq!(wrong.code, 2);
    assert!(
        wrong
            .stderr
            .contains("a.private is the private part, which no gateway needs: give a.public"),
        "{}",
        wrong.stderr
    );
    done(&dir, &[&rotate[..], &["a.public"]].concat());
    let public = std::fs::read_to_string(dir.path().join("a.public")).unwrap();
    assert!(text(&dir).contains(&format!("public = \"{}\"\n", public.trim())));
    check(&dir);
}

#[test]
fn manifests_have_the_names_that_deployments_use_and_the_secret_only_on_demand() {
    let dir = tempfile::tempdir().unwrap();
    let generate = |args: &[&str]| run(flk(dir.path()).args(["keys", "generate"]).args(args), b"");
    for (at, form) in (0..).zip(["k8s", "helm", "compose", "env"]) {
        for alg in ["hmac", "ed25519"] {
            let out = format!("{at}-{alg}.private");
            let args = ["--alg", alg, "--emit", form, "--out", &out];
            let hidden = generate(&args);
            assert_eq!(hidden.code, 0, "{}", hidden.stderr);
            let secret = std::fs::read_to_string(dir.path().join(&out)).unwrap();
            assert!(!hidden.stdout.contains(&secret) && !hidden.stderr.contains(&secret));
            assert!(hidden.stdout.contains(&format!("<the text of {out}>")));
            for advice in ["# DO ", "# DON'T "] {
                assert!(
                    hidden.stdout.contains(advice),
                    "{form} {alg}: {}",
                    hidden.stdout
                );
            }
            let shown = generate(&["--alg", alg, "--emit", form, "--show-secret"]);
            assert_eq!((shown.code, shown.stderr.as_str()), (0, ""));
            assert!(!shown.stdout.contains("<the text of"), "{}", shown.stdout);
        }
    }
    let entries = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(entries, 4 * 3, "what is shown is in no file");
    let k8s = generate(&["--alg", "ed25519", "--emit", "k8s", "--show-secret"]).stdout;
    for name in [
        "pcs-ed25519-agent-secret",
        "PCS_ED25519_PRIV_B64",
        "pcs-ed25519-config",
        "PCS_ED25519_PUB_B64",
    ] {
        assert!(k8s.contains(name), "{name}: {k8s}");
    }
    assert_eq!(generate(&["--show-secret"]).code, 2, "only in a manifest");
    let args = ["--show-secret", "--output", "json"];
    assert_eq!(generate(&args).code, 2, "not in this form either");
}

#[test]
fn the_next_command_fits_the_tenant_and_does_what_it_says() {
    let dir = directory();
    for (tenant, alg, verb) in [
        ("acme", "hmac", "rotate acme"),
        ("acme", "ed25519", "rotate acme"),
        ("gamma", "hmac", "add gamma --new-tenant"),
        ("delta", "ed25519", "add delta --new-tenant"),
    ] {
        let out = format!("{tenant}-{alg}.private");
        let made = done(
            &dir,
            &["generate", "--tenant", tenant, "--alg", alg, "--out", &out],
        );
        let next = made.stdout.lines().last().unwrap();
        let next = next
            .strip_prefix("next: flk keys ")
            .unwrap_or_else(|| panic!("{next}"));
        assert!(next.starts_with(verb), "{next}");
        let id = ["--id", alg];
        let words: Vec<&str> = next.split(' ').chain(id).collect();
        done(&dir, &words);
        check(&dir);
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let made = run(flk(elsewhere.path()).args(["keys", "generate"]), b"");
    for line in [
        "next, for a new tenant: flk keys add default --new-tenant --key-file ",
        "next, for one that has keys: flk keys rotate default --key-file ",
    ] {
        assert!(
            made.stdout.lines().any(|it| it.starts_with(line)),
            "{line}: {}",
            made.stdout
        );
    }
}

#[test]
fn a_manifest_names_the_command_that_fits_the_tenant() {
    let dir = directory();
    for (tenant, alg, expected) in [
        (
            "acme",
            "hmac",
            "#   next: flk keys rotate acme --key-file acme-hmac-",
        ),
        (
            "gamma",
            "hmac",
            "#   next: flk keys add gamma --new-tenant --key-file gamma-hmac-",
        ),
        (
            "acme",
            "ed25519",
            "#   next: flk keys rotate acme --public ",
        ),
        (
            "gamma",
            "ed25519",
            "#   next: flk keys add gamma --new-tenant --public ",
        ),
    ] {
        for form in ["k8s", "helm", "compose", "env"] {
            let out = format!("{tenant}-{alg}-{form}.private");
            let args = [
                "--tenant", tenant, "--alg", alg, "--emit", form, "--out", &out,
            ];
            let made = done(&dir, &[&["generate"], &args[..]].concat());
            let mut lines = made.stdout.lines();
            let is_it =
                |line: &str| line.starts_with(expected) && line.ends_with(" --config flk.toml");
            assert!(lines.any(is_it), "{expected}: {}", made.stdout);
        }
    }
    let made = done(&dir, &["generate", "--emit", "env", "--out", "d.key"]);
    assert!(!made.stdout.contains("next: "), "{}", made.stdout);
}
