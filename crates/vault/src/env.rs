//! What a vault needs from its surroundings, passed in: time, randomness, a cache folder.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use vault_format::Entropy;

/// Time. Tests bring their own.
pub trait Clock: Send + Sync {
    /// The wall clock; only ever stored, never compared with times of other machines.
    fn now(&self) -> SystemTime;
    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;
    /// Waits, for the pause before a store is asked again.
    fn sleep(&self, time: Duration);
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

type SharedEntropy = Arc<Mutex<dyn Entropy + Send>>;

/// The surroundings of a vault.
#[derive(Clone)]
pub struct Env {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where the decrypted index may be kept between runs, in a folder of its own for each
    /// vault. Everything in it may be deleted at any time. Without one it is kept in memory,
    /// which costs 48 bytes for each chunk of the vault.
    pub cache: Option<PathBuf>,
    entropy: SharedEntropy,
}

impl Env {
    /// The machine's clock and random generator.
    pub fn system() -> Self {
        Self::new(Arc::new(SystemClock::default()), |out: &mut [u8]| {
            // Entropy has no error by contract: without it nothing may be written.
            getrandom::fill(out).expect("the operating system gives random numbers");
        })
    }

    /// A chosen clock and random generator.
    pub fn new(clock: Arc<dyn Clock>, entropy: impl Entropy + Send + 'static) -> Self {
        Self {
            clock,
            cache: None,
            entropy: Arc::new(Mutex::new(entropy)),
        }
    }

    /// With a folder for the cache.
    pub fn with_cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(folder.into());
        self
    }

    /// The wall clock in milliseconds since 1970, as the format wants it.
    pub(crate) fn now_ms(&self) -> u64 {
        let since = self.clock.now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }

    /// The random generator, as the format wants it.
    pub(crate) fn entropy(&self) -> impl Entropy + use<> {
        let shared = self.entropy.clone();
        move |out: &mut [u8]| shared.lock().unwrap_or_else(|e| e.into_inner()).fill(out)
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}
