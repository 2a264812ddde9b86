//! Threads that help deliveries to compress.
//!
//! Owns how many there are at once, of all couriers together: one less than the machine has cores,
//! since a delivery compresses on a thread of its own too. Whoever finds none free does the work
//! itself, so nothing ever waits for a turn.

use std::sync::Arc;

use millstream_formats::compression::Workers;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// The threads, or rather the right to one.
#[derive(Debug)]
pub(super) struct Compressors {
    count: usize,
    free: Arc<Semaphore>,
}

impl Compressors {
    /// So many.
    pub(super) fn new(count: usize) -> Self {
        Self { count, free: Arc::new(Semaphore::new(count)) }
    }

    /// As many as this machine has use for.
    pub(super) fn of_this_machine() -> Self {
        Self::new(std::thread::available_parallelism().map_or(0, |cores| cores.get() - 1))
    }
}

impl Workers for Compressors {
    fn count(&self) -> usize {
        self.count
    }

    fn try_run(&self, work: Box<dyn FnOnce() + Send>) -> bool {
        // Objects are made on threads that may block, which belong to a runtime.
        let Ok(runtime) = Handle::try_current() else { return false };
        let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() else { return false };
        runtime.spawn_blocking(move || {
            work();
            drop(permit);
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[tokio::test]
    async fn no_more_work_is_taken_than_there_are_threads() {
        let compressors = Compressors::new(2);
        let (release, blocked) = sync_channel::<()>(2);
        let blocked = Arc::new(std::sync::Mutex::new(blocked));
        for _ in 0..2 {
            let blocked = Arc::clone(&blocked);
            let wait = move || blocked.lock().unwrap().recv().unwrap();
            assert!(compressors.try_run(Box::new(wait)));
        }
        assert!(!compressors.try_run(Box::new(|| unreachable!("it was refused"))));
        release.send(()).unwrap();
        release.send(()).unwrap();
        let both = compressors.free.acquire_many(2).await;
        drop(both.unwrap());
        assert!(compressors.try_run(Box::new(|| ())));
    }

    #[test]
    fn without_a_runtime_nothing_is_taken() {
        assert!(!Compressors::new(1).try_run(Box::new(|| unreachable!("it was refused"))));
    }
}
