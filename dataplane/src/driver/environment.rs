//! The environment block that the process was started with: takes values out of it, so that `/proc/PID/environ` no longer
//! shows them. It knows no variable by name and never changes the length of the block.

use std::ffi::{CStr, c_char};
use zeroize::Zeroizing;

#[allow(unsafe_code)]
unsafe extern "C" {
    /// The variables as `NAME=VALUE`, the last pointer null.
    static mut environ: *mut *mut c_char;
}

/// A variable whose value is no longer in the block.
pub struct Taken {
    /// Its name.
    pub name: String,
    /// The bytes of its value.
    pub value: Zeroizing<Vec<u8>>,
}

/// Takes the values of all variables with such names: each is copied, and overwritten with zeros where it was. From then on
/// such a variable has an empty value. To be called before any other thread is started; it panics otherwise.
#[allow(unsafe_code)]
pub fn take(is_taken: impl Fn(&str) -> bool) -> Vec<Taken> {
    // Without /proc there is nothing to hide the block from.
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    assert!(
        threads == 1,
        "the environment is taken before another thread could read it"
    );
    let mut taken = Vec::new();
    // SAFETY: this is the only thread (asserted), so nothing else reads or moves the list, and `take_from` starts no thread.
    let mut at = unsafe { environ };
    // SAFETY: the list is null or ends with a null pointer, and the loop stops there.
    while let Some(&variable) = unsafe { at.as_ref() }
        && !variable.is_null()
    {
        // SAFETY: each pointer of the list is to a writable text with a zero behind it; this is the only thread.
        taken.extend(unsafe { take_from(variable, &is_taken) });
        // SAFETY: this pointer is not the last one, which is null.
        at = unsafe { at.add(1) };
    }
    taken
}

/// # Safety
/// - `variable` points to writable bytes that end with a zero, which no other thread reads or writes.
#[allow(unsafe_code)]
unsafe fn take_from(variable: *mut c_char, is_taken: &impl Fn(&str) -> bool) -> Option<Taken> {
    // SAFETY: the caller promised a text that ends with a zero.
    let text = unsafe { CStr::from_ptr(variable) }.to_bytes();
    let end = text.iter().position(|&byte| byte == b'=')?;
    let name = std::str::from_utf8(&text[..end]).ok()?;
    if !is_taken(name) {
        return None;
    }
    let taken = Taken {
        name: name.to_owned(),
        value: Zeroizing::new(text[end + 1..].to_vec()),
    };
    for at in end + 1..text.len() {
        // SAFETY: in bounds of the text, whose borrow has ended: its bytes were copied. Volatile, because only the kernel
        // reads it again.
        unsafe { variable.add(at).write_volatile(0) };
    }
    Some(taken)
}
