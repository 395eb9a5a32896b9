//! Where the kernel's files about this host are: the real ones, or a tree that a test has made. It reads them and judges
//! nothing.

use super::text_of;
use flk_dataplane::driver::affinity::parse_list;
use std::path::PathBuf;

/// A host, as its kernel's files show it.
#[derive(Clone, Debug)]
pub(super) struct Host {
    root: PathBuf,
}

impl Host {
    /// The host that this program runs on.
    pub(super) fn this() -> Host {
        Host {
            root: PathBuf::from("/"),
        }
    }

    /// One whose files lie below a directory.
    #[cfg(test)]
    pub(super) fn below(root: &std::path::Path) -> Host {
        Host {
            root: root.to_owned(),
        }
    }

    /// A path such as `proc/meminfo`.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Text of a file; nothing where it cannot be read.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        text_of(self.path(path))
    }

    /// A file that holds one number.
    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.parse().ok()
    }
}

/// Reads a list of CPUs as the kernel writes it; nothing where it is none.
pub(super) fn cpu_list(text: &str) -> Vec<usize> {
    parse_list(text).unwrap_or_default()
}

/// CPUs as `FLK_CORES` takes them. A single one is written with a comma, for a number alone is a count.
pub(super) fn cores_text(cpus: &[usize]) -> String {
    let texts: Vec<String> = cpus.iter().map(usize::to_string).collect();
    match cpus.len() {
        1 => format!("{},", texts.concat()),
        _ => texts.join(","),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A tree of files that stands for a host.
    pub(in crate::doctor) struct Tree(tempfile::TempDir);

    impl Tree {
        pub(in crate::doctor) fn with(files: &[(&str, &str)]) -> Tree {
            let tree = Tree(tempfile::tempdir().unwrap());
            for (path, text) in files {
                let path = tree.0.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            tree
        }

        pub(in crate::doctor) fn host(&self) -> Host {
            Host::below(self.0.path())
        }
    }

    #[test]
    fn lists_of_cpus_are_read_and_written_as_the_kernel_and_the_setting_have_them() {
        assert_eq!(cpu_list("0-3,8"), [0, 1, 2, 3, 8]);
        assert_eq!(cpu_list("5"), [5]);
        assert_eq!(cpu_list(""), [0; 0]);
        assert_eq!(cores_text(&[0, 2]), "0,2");
        assert_eq!(cores_text(&[3]), "3,");
    }

    #[test]
    fn a_file_that_is_not_there_is_no_answer() {
        let tree = Tree::with(&[("proc/a", "12\n"), ("proc/b", "x")]);
        let host = tree.host();
        assert_eq!(host.number("proc/a"), Some(12));
        assert_eq!(host.number("proc/b"), None);
        assert_eq!(host.text("proc/c"), None);
    }
}
