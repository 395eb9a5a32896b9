//! Manifests and secrets: whole ones read and written again, the others refused, and a newer one by its name.

use super::shown;
use super::vectors::{FORMS, all_directories, files, is_current, list, number, text, vectors};
use flk_dataplane::wal::manifest::{Manifest, ManifestFault};
use flk_dataplane::wal::secret::Secret;
use flk_testkit::hex::unhex;
use serde_json::Value;

#[test]
fn manifests_are_read_and_written_again_or_refused() {
    let vectors = vectors();
    for form in FORMS {
        read_and_write_again(
            list(&vectors[format!("manifests_{form}")]),
            is_current(form),
        );
    }
}

fn read_and_write_again(rows: &[Value], is_current: bool) {
    for row in rows {
        let (name, bytes) = (text(&row["name"]), unhex(text(&row["hex"])));
        match (text(&row["verdict"]), Manifest::decode(&bytes)) {
            ("whole", Ok(manifest)) => {
                assert_eq!(shown::manifest(&manifest), row["fields"], "{name}");
                assert_eq!(manifest.encode() == bytes, is_current, "{name}");
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
            ("newer_section", Err(found)) => {
                let kind = number(&row["kind"]) as u16;
                assert_eq!(found, ManifestFault::NewerSection { kind });
            }
            ("refused", Err(found)) if found.is_newer() => panic!("{name}: not newer"),
            ("refused", Err(_)) => {}
            (wanted, found) => panic!("{name}: {found:?}, not {wanted}"),
        }
    }
    assert!(rows.len() >= 25);
}

#[test]
fn manifests_of_format_1_are_kept_as_of_now_and_their_secrets_are_written_again_byte_for_byte() {
    let vectors = vectors();
    for directory in all_directories(&vectors) {
        let files = files(directory);
        let manifest = Manifest::decode(&files["manifest"]).unwrap();
        let is_current = text(&directory["path"]).starts_with("wal/v2");
        assert_eq!(manifest.encode() == files["manifest"], is_current);
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
