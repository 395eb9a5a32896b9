//! Does the same with each of many things, some at a time.

use std::sync::Mutex;

/// Calls `work` with each item, the first ones first, on `jobs` threads; what it gives is in no order.
pub(crate) fn each<T: Send, R: Send>(
    jobs: usize,
    items: impl IntoIterator<Item = T, IntoIter: Send>,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let items = Mutex::new(items.into_iter());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(item) = next(&items) {
                    let result = work(item);
                    lock(&done).push(result);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(|it| it.into_inner())
}

/// Its lock ends with it, before the work begins.
fn next<T>(items: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    lock(items).next()
}

/// Locks, whatever became of another thread.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_worked_on_once() {
        let mut done = each(3, 0..100, |item| item * 2);
        done.sort_unstable();
        assert!(done.into_iter().eq((0..100).map(|item| item * 2)));
    }
}
