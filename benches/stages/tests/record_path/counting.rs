//! An allocator that notes where the threads that are watched allocate. It changes nothing about what is allocated.

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

struct Noting;

#[global_allocator]
static NOTING: Noting = Noting;

thread_local! {
    static WATCH: Cell<Option<&'static Watch>> = const { Cell::new(None) };
    /// An allocation is being noted, which allocates.
    static NOTES: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: every call is passed on to the system's allocator unchanged; what is noted is memory of its own.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Noting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller promised what `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller promised what `System` asks for.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        note();
        // SAFETY: the caller promised what `System` asks for.
        unsafe { System.realloc(memory, layout, bytes) }
    }
}

fn note() {
    let watch = WATCH.try_with(Cell::get).ok().flatten();
    if let Some(watch) = watch.filter(|watch| watch.is_on.load(Ordering::Relaxed))
        && !NOTES.replace(true)
    {
        watch.noted.lock().unwrap().push(Backtrace::force_capture());
        NOTES.set(false);
    }
}

/// Notes the allocations of some threads while it is on.
pub(crate) struct Watch {
    is_on: AtomicBool,
    noted: Mutex<Vec<Backtrace>>,
}

impl Watch {
    /// Off, and of no thread yet.
    pub(crate) fn new() -> &'static Watch {
        Box::leak(Box::new(Watch {
            is_on: AtomicBool::new(false),
            noted: Mutex::new(Vec::new()),
        }))
    }

    /// Watches the calling thread, too.
    pub(crate) fn this_thread(&'static self) {
        WATCH.set(Some(self));
    }

    /// Where was allocated meanwhile, each as the lines of the product's sources on the way there, innermost first.
    pub(crate) fn during(&self, work: impl FnOnce()) -> Vec<String> {
        self.is_on.store(true, Ordering::Relaxed);
        work();
        self.is_on.store(false, Ordering::Relaxed);
        let noted = std::mem::take(&mut *self.noted.lock().unwrap());
        noted.iter().map(places).collect()
    }
}

/// The lines of the product's crates that a trace names.
fn places(trace: &Backtrace) -> String {
    const SOURCES: [&str; 2] = ["dataplane/src/", "contract/src/"];
    let text = trace.to_string();
    let places = text.lines().filter(|line| line.trim().starts_with("at "));
    let of = |line: &'_ str| SOURCES.iter().find_map(|sources| line.find(sources));
    let ours = places.filter_map(|line| of(line).map(|at| &line[at..]));
    ours.collect::<Vec<_>>().join(" < ")
}
