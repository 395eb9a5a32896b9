//! `flk bench` as several tenants, each with keys of its own.

use crate::bench::{number, of_kind, saved};
use crate::common::{flk, run};

/// An Ed25519 key of RFC 8032, section 7.1, as a seed and as a public key.
const SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

#[test]
fn tenants_send_by_keys_of_their_own_and_a_share_by_ed25519() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut config = String::new();
    for name in ["a", "b"] {
        let file = dir.join(format!("{name}.key"));
        std::fs::write(&file, format!("the key of tenant {name}, 32 bytes long")).unwrap();
        config += &format!(
            "[[tenants]]\nid = \"{name}\"\n[[tenants.keys]]\nid = \"h\"\nfile = \"{}\"\n[[tenants.keys]]\nid = \"e\"\nscheme = \"ed25519\"\npublic = \"{PUBLIC}\"\n",
            file.display()
        );
    }
    std::fs::write(dir.join("flk.toml"), config).unwrap();
    let arguments = ["--port", "0", "--no-control", "--config", "flk.toml"];
    let gateway = crate::up(dir).with_arguments(&arguments).start();
    let mut accepted = 0;
    for travel in [&[][..], &["--batch", "25", "--pipeline", "2"]] {
        let mut command = flk(dir);
        command.args([
            "bench",
            &gateway.url(),
            "--rate",
            "3000",
            "--duration",
            "1s",
        ]);
        command.args(["--warm-up", "0s", "--timeout", "60s", "--save", "run.json"]);
        command.args(["--tenants", "a,b", "--tenant-keys", "."]);
        command.args(["--ed25519", "40%", "--duplicates", "20%"]);
        let ran = run(command.args(travel).env("PCS_ED25519_PRIV_B64", SEED), b"");
        assert_eq!(ran.code, 0, "{ran:?}");
        let run = saved(dir, "run.json");
        accepted += of_kind(&run, "new", "as_expected");
        assert_eq!(number(&run, "/settings/tenants"), 2);
    }
    let page = gateway.get("/metrics");
    let count = |name: &str| -> u64 {
        let lines = page
            .text()
            .lines()
            .filter_map(|it| it.strip_prefix(name)?.strip_prefix(' '));
        lines.map(|it| it.parse::<u64>().unwrap()).sum()
    };
    let of = |tenant| count(&format!("flk_accepted_by_tenant{{tenant=\"{tenant}\"}}"));
    let (a, b) = (of("a"), of("b"));
    assert!(a > 50 && b > 50, "{a} {b}");
    assert_eq!(a + b, accepted);
}
