//! Manifests and secrets: whole ones read and written again, the others refused, and a newer one by its name.

use super::shown;
use super::vectors::{files, list, number, text, vectors};
use flk_dataplane::wal::manifest::{Manifest, ManifestFault};
use flk_dataplane::wal::secret::Secret;
use flk_testkit::hex::unhex;

#[test]
fn manifests_are_read_and_written_again_or_refused() {
    let vectors = vectors();
    for row in list(&vectors["manifests"]) {
        let (name, bytes) = (text(&row["name"]), unhex(text(&row["hex"])));
        match (text(&row["verdict"]), Manifest::decode(&bytes)) {
            ("whole", Ok(manifest)) => {
                assert_eq!(shown::manifest(&manifest), row["fields"], "{name}");
                assert!(manifest.encode() == bytes, "{name}");
            }
            ("older", Ok(manifest)) => {
                assert_eq!(shown::manifest(&manifest), row["fields"], "{name}");
                assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest), "{name}");
            }
            ("newer", Err(found)) => {
                let wanted = ManifestFault::Newer {
                    version: number(&row["version"]) as u32,
                    readable_since: [7, 8, 9],
                };
                assert_eq!(found, wanted);
                assert!(found.to_string().contains("use flk 7.8.9 or later"));
            }
            ("refused", Err(ManifestFault::Newer { .. })) => panic!("{name}: not newer"),
            ("refused", Err(_)) => {}
            (wanted, found) => panic!("{name}: {found:?}, not {wanted}"),
        }
    }
    assert!(list(&vectors["manifests"]).len() >= 25);
}

#[test]
fn manifests_of_format_1_are_kept_as_of_now_and_their_secrets_are_written_again_byte_for_byte() {
    let vectors = vectors();
    for directory in [&vectors["v1"], &vectors["v1_sealed"]] {
        let files = files(directory);
        let manifest = Manifest::decode(&files["manifest"]).unwrap();
        assert_eq!(Manifest::decode(&manifest.encode()).as_ref(), Ok(&manifest));
        let secret = Secret::decode(&files["secret"]).unwrap();
        assert_eq!(secret.id, manifest.secret);
        assert_eq!(secret.key.to_vec(), unhex(text(&vectors["secret"]["key"])));
        assert!(secret.encode() == files["secret"]);
    }
}

#[test]
fn secrets_are_read_or_refused() {
    for row in list(&vectors()["secrets"]) {
        let found = Secret::decode(&unhex(text(&row["hex"])));
        assert_eq!(found.is_ok(), row["verdict"] == "whole", "{}", row["name"]);
    }
}
