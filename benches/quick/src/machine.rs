//! What the figures were measured on: CPU, kernel, file system, and how busy the machine was beside us.
//! It reads /proc and /sys; it never names a host, a path or a user.

use std::fmt;
use std::io;
use std::path::Path;

use std::os::unix::fs::MetadataExt;

pub(crate) struct Machine {
    cpu_model: String,
    cpus_count: usize,
    has_sha: bool,
    kernel: String,
    file_system: String,
    load_average: String,
}

impl Machine {
    /// Looks at this machine, and at the file system of `directory`.
    pub(crate) fn look(directory: &Path) -> io::Result<Self> {
        let cpus = std::fs::read_to_string("/proc/cpuinfo")?;
        let field = |name: &str| {
            cpus.lines()
                .find(|line| line.starts_with(name))
                .and_then(|line| line.split_once(": "))
                .map(|(_, value)| value)
        };
        let flags = field("flags")
            .or_else(|| field("Features"))
            .unwrap_or_default();
        Ok(Self {
            cpu_model: field("model name")
                .unwrap_or("unknown CPU")
                .trim()
                .to_owned(),
            cpus_count: cpus
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            has_sha: flags
                .split(' ')
                .any(|flag| flag == "sha_ni" || flag == "sha2"),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?
                .trim()
                .to_owned(),
            file_system: file_system(directory)?,
            load_average: first_word(&std::fs::read_to_string("/proc/loadavg")?).to_owned(),
        })
    }

    /// Whether the CPU has instructions for SHA-256.
    pub(crate) fn has_sha(&self) -> bool {
        self.has_sha
    }

    /// A directory name for machines of this kind.
    pub(crate) fn slug(&self) -> String {
        slug(&format!("{} {}cpu", self.cpu_model, self.cpus_count))
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} CPUs, {} SHA instructions, Linux {}, {}, load average {} at the start",
            self.cpu_model,
            self.cpus_count,
            if self.has_sha { "with" } else { "without" },
            self.kernel,
            self.file_system,
            self.load_average
        )
    }
}

/// The type of the file system that holds `directory`; for ext4 also whether it has a journal.
fn file_system(directory: &Path) -> io::Result<String> {
    let id = std::fs::metadata(directory)?.dev();
    let device = format!("{}:{}", rustix::fs::major(id), rustix::fs::minor(id));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let kind = file_system_of(&mounts, &device).unwrap_or("unknown file system");
    if kind != "ext4" {
        return Ok(kind.to_owned());
    }
    let name = std::fs::read_link(format!("/sys/dev/block/{device}"))
        .ok()
        .and_then(|link| Some(format!("{}-", link.file_name()?.to_str()?)));
    let journal = name.is_some_and(|name| {
        std::fs::read_dir("/proc/fs/jbd2").is_ok_and(|entries| {
            entries
                .flatten()
                .any(|entry| entry.file_name().to_string_lossy().starts_with(&name))
        })
    });
    Ok(format!(
        "ext4 {} a journal",
        if journal { "with" } else { "without" }
    ))
}

/// In a line of mountinfo the device is the third word, and the type follows a lone `-`.
fn file_system_of<'a>(mounts: &'a str, device: &str) -> Option<&'a str> {
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        (words.nth(2)? == device).then_some(())?;
        words.skip_while(|word| *word != "-").nth(1)
    })
}

fn slug(text: &str) -> String {
    let lower = text.to_lowercase().replace("(r)", "").replace("(tm)", "");
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    words.join("-")
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_is_found_by_its_device() {
        let mounts = "22 1 0:21 / /proc rw - proc proc rw\n23 1 254:0 / / rw,noatime shared:1 - ext4 /dev/vda rw\n";
        assert_eq!(file_system_of(mounts, "254:0"), Some("ext4"));
        assert_eq!(file_system_of(mounts, "254:1"), None);
    }

    #[test]
    fn a_slug_is_a_plain_directory_name() {
        assert_eq!(
            slug("Intel(R) Xeon(R) Processor @ 2.90GHz 2cpu"),
            "intel-xeon-processor-2-90ghz-2cpu"
        );
    }

    #[test]
    fn this_machine_can_be_described() {
        let text = Machine::look(&std::env::temp_dir()).unwrap().to_string();
        assert!(
            text.contains("Linux") && !text.contains("unknown file system"),
            "{text}"
        );
    }
}
