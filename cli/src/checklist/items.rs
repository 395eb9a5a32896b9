//! The items that hold before a gateway goes into production: what each says, the command that proves it, and where that can be run.
//! It is data; docs/production-checklist.md repeats it word by word, which a test compares.

use std::fmt;

/// Where an item is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// On the host of the gateway, with its settings.
    Host,
    /// With a gateway that answers.
    Url,
    /// With a place of backups.
    Backups,
    /// Where the sources are, or by what would load a gateway: the command is named and not run.
    Hand,
}

impl fmt::Display for By {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            By::Host => "host",
            By::Url => "URL",
            By::Backups => "backups",
            By::Hand => "by hand",
        })
    }
}

/// One item.
#[derive(Debug)]
pub(super) struct Item {
    /// Its name, which never changes.
    pub(super) id: &'static str,
    pub(super) sentence: &'static str,
    /// The command that proves it; words in capitals stand for what the reader has.
    pub(super) proof: &'static str,
    pub(super) by: By,
}

macro_rules! items {
    ($($id:literal, $by:ident, $proof:literal, $sentence:literal;)*) => {
        /// All items, in the order of the page.
        pub(super) const ITEMS: &[Item] = &[
            $(Item { id: $id, sentence: $sentence, proof: $proof, by: By::$by },)*
        ];
    };
}

items! {
    "code-1", Hand, "make test",
        "All tests of this version pass: units, properties, the simulator, real processes, crashes and power cuts.";
    "code-2", Hand, "make lint",
        "Formatter, lints and documentation have nothing to say.";
    "code-3", Hand, "make golden-check",
        "The golden vectors are what an independent program makes of the contract.";
    "code-4", Hand, "make instructions",
        "A record costs the instructions that are committed, within 2 %.";
    "code-5", Hand, "make mutants-slice",
        "The tests find mistakes that are planted one by one.";
    "code-6", Url, "flk doctor --telemetry --url URL",
        "The gateway has the metrics that this version declares, no more and no fewer.";
    "code-7", Url, "flk smoke URL",
        "The gateway takes a signed record, gives a duplicate the first answer and refuses a tampered one, in time.";
    "security-1", Host, "flk config check",
        "Every setting is valid, and the admin API asks for a token if other machines reach it.";
    "security-2", Host, "flk config show",
        "Records must be signed: `PCS_SIGN_ALG` is not `none`.";
    "security-3", Host, "flk doctor",
        "A key of one's own is set, and no HMAC key is shorter than 32 bytes.";
    "security-4", Host, "flk checklist --item security-4",
        "No other user can read a file of keys or write the configuration.";
    "security-5", Host, "flk checklist --item security-5",
        "The sandbox is on, the kernel has it, and no core dump is written.";
    "security-6", Url, "flk checklist URL --item security-6",
        "No key has been in force for more than 90 days.";
    "security-7", Hand, "make lint-deny",
        "Licences and sources of all dependencies are allowed ones, and no advisory is open.";
    "infrastructure-1", Host, "flk doctor",
        "Nothing on the host keeps a gateway from starting, or from what it promises.";
    "infrastructure-2", Host, "flk doctor",
        "The log is on a local disk that syncs honestly and in time.";
    "infrastructure-3", Host, "flk doctor",
        "The clock of the host follows a source.";
    "infrastructure-4", Hand, "flk capacity --rate RATE",
        "Cores, memory and disk suffice for the expected rate.";
    "infrastructure-5", Hand, "make test-deploy",
        "The programs that read chart, units and rules in production take them.";
    "infrastructure-6", Hand, "flk bench URL --rate RATE --expect 'p95<200ms' --expect 'errors<0.1%'",
        "At the expected rate answers are right and in time.";
    "infrastructure-7", Url, "curl -f URL/readyz",
        "The gateway is alive and ready.";
    "operations-1", Hand, "make test-deploy test-unit",
        "Every alert was seen to fire and to resolve, and the commands of its runbook were followed.";
    "operations-2", Backups, "flk backup list --from PLACE",
        "A backup was taken within the last 26 hours.";
    "operations-3", Backups, "flk restore --from PLACE --verify",
        "A backup was read whole and is right.";
    "operations-4", Host, "flk wal verify",
        "The log of the gateway is whole.";
    "operations-5", Url, "flk checklist URL --item operations-5",
        "No write or read of the log has failed, no shard stands still, and no segment was deleted before its time.";
    "operations-6", Hand, "make test-roll",
        "A bad version was rolled back in a rehearsal.";
    "operations-7", Host, "flk support-bundle --out FILE",
        "A support bundle can be made on the host.";
}
