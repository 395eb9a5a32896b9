//! Secrets do not stay in memory: an allocator looks into every block that is freed, for the texts of keys and passwords and
//! for the prepared states of keys. No gateway is started.
#![allow(clippy::unwrap_used)] // helpers of tests may unwrap as tests do

use flk_dataplane::config::{Config, Flags, RawConfig, Variable};
use flk_dataplane::snapshot::{MissingKeys, Resolver, TenantKeys};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

struct Looking;

/// Secrets of this test, from the environment and from a file. A window of this length gives one away.
const WINDOW: usize = 8;
const TEXTS: [&[u8]; 3] = [
    b"kq7Vm2xPzR4tLw9sYb3nHc6jFd8gTa5e",
    b"Zu3vQe8rNk1yXo6mBi4wCp9hSl2aDf7g",
    b"Gj5tWn2bMx8qRv4zKy7cEs1pHu9oLa3i",
];

/// Freed blocks that held a part of a text.
static TEXTS_FREED: AtomicU64 = AtomicU64::new(0);
/// Words of the prepared state of the key, xored with [`HIDDEN`] so that this list is not found itself.
static STATE: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];
const HIDDEN: u64 = 0x5a5a_c3c3_9696_0f0f;
/// Freed blocks that held such a word.
static STATES_FREED: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged. A block is looked at before it is freed, in bounds of
// its layout, by volatile reads, as bytes of which none has to be initialised by the language's rules to be seen by a debugger.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Looking {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promised what `System` asks for. Zeroed, so that every byte is initialised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the block is the caller's until it is freed below, and was initialised when it was allocated.
        look_at(unsafe { std::slice::from_raw_parts(memory, layout.size()) });
        // SAFETY: the caller promised what `System` asks for.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static LOOKING: Looking = Looking;

fn look_at(block: &[u8]) {
    let holds = |text: &[u8]| {
        let windows = text.chunks_exact(WINDOW);
        let mut parts = windows.map(|part| block.windows(WINDOW).any(|it| it == part));
        parts.any(|it| it)
    };
    if TEXTS.into_iter().any(holds) {
        TEXTS_FREED.fetch_add(1, Relaxed);
    }
    let words = block.chunks_exact(8).map(|word| word.try_into().unwrap());
    let is_state = |word: u64| STATE.iter().any(|it| it.load(Relaxed) == word ^ HIDDEN);
    if words.map(u64::from_ne_bytes).any(is_state) {
        STATES_FREED.fetch_add(1, Relaxed);
    }
}

/// The words of the states of the keys. The snapshot that has them is dropped.
#[allow(unsafe_code)]
fn remember_state(config: &Config) -> usize {
    let load = |source: &_| config.secrets.load(source);
    let resolved = Resolver::default().resolve(&config.document, &load, MissingKeys::Refuse);
    let (snapshot, _) = resolved.unwrap();
    let tenant = snapshot.tenant(snapshot.ids().next().unwrap());
    let TenantKeys::Scheduled(schedule) = &tenant.keys else {
        panic!("there are keys")
    };
    let mut count = 0;
    for timed in &schedule.keys {
        let key = std::ptr::from_ref(&timed.key).cast::<u8>();
        // SAFETY: the bytes of the key, which lives as long as the snapshot; those of padding are zero (see `alloc`).
        let byte = |at: usize| unsafe { key.add(at).read_volatile() };
        let bytes: Vec<u8> = (0..size_of_val(&timed.key)).map(byte).collect();
        let bytes = zeroize::Zeroizing::new(bytes);
        // A state is four words. Other words, those of its id among them, are no secrets, or were never written.
        let words: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|word| u64::from_ne_bytes(word.try_into().unwrap()))
            .collect();
        let words = zeroize::Zeroizing::new(words);
        for state in words
            .split(|&word| word >> 48 == 0)
            .filter(|it| it.len() >= 4)
        {
            for word in state.iter().take(STATE.len() - count) {
                STATE[count].store(word ^ HIDDEN, Relaxed);
                count += 1;
            }
        }
    }
    count
}

/// Text that the program has in it costs nothing when it is freed: only what is made at run time is looked at.
fn text(at: usize) -> String {
    String::from_utf8(TEXTS[at].to_vec()).unwrap()
}

#[test]
fn no_memory_that_is_freed_holds_a_secret_after_the_settings_are_read_used_and_dropped() {
    // A copy of the sources with mutants is optimized in another way: what was never written there looks like a state.
    let is_copy = ["FLK_MUTANT", "FLK_MUTANTS_ASKED"].map(|it| std::env::var_os(it).is_some());
    if is_copy.contains(&true) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    // Not by `text`: these bytes are in the program already, and nothing is freed.
    std::fs::write(&path, TEXTS[1]).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let env = |name: &str| match name {
        "PCS_HMAC_KEY" => Some(text(0)),
        "PCS_HMAC_KEYS_FILE" => Some(path.clone()),
        "METRICS_USER" => Some("scraper".to_owned()),
        "METRICS_PASS" => Some(text(2)),
        _ => None,
    };
    let raw = RawConfig::read(&env, &Flags::default()).unwrap();
    assert_eq!(raw.text(Variable::HmacKeys).unwrap().as_bytes(), TEXTS[1]);
    let config = Config::resolve(&raw).unwrap();
    let raw = raw.with(Variable::MetricsPass, None);
    drop(raw);
    let words = remember_state(&config);
    assert!(words >= 16, "{words} words: two keys of two states each");
    drop(config);
    let refused = |name: &str| match name {
        "PCS_HMAC_KEY_FILE" => Some("not read".to_owned()),
        other => env(other),
    };
    assert!(RawConfig::read(&refused, &Flags::default()).is_err());
    assert_eq!(TEXTS_FREED.load(Relaxed), 0, "blocks with a text");
    assert_eq!(STATES_FREED.load(Relaxed), 0, "blocks with a state");

    // The test can fail: the same texts in memory that is not wiped are seen.
    drop(text(0));
    assert_eq!(TEXTS_FREED.load(Relaxed), 1);
    drop(Box::new(STATE[0].load(Relaxed) ^ HIDDEN));
    assert_eq!(STATES_FREED.load(Relaxed), 1);
}
