//! The ways to hash that this processor may have.

use crate::kernel::Stretch;
use crate::state::States;
use crate::sums::Wanted;
use std::error::Error;
use std::fmt;
use std::str::FromStr;

#[cfg(target_arch = "x86_64")]
use crate::{avx2::Avx2, avx512::Avx512};

/// A way to hash. Widest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Engine {
    /// Sixteen messages in 512-bit registers, all three functions.
    Avx512,
    /// Sixteen messages in pairs of 256-bit registers. SHA-256, where the processor has instructions of its own for
    /// it, takes the same messages one at a time, which is faster.
    Avx2,
    /// One message at a time, on the processor's SHA extensions where it has them.
    Single,
}

impl Engine {
    /// Every engine, widest first, whether this processor has it or not.
    pub const ALL: [Engine; 3] = [Engine::Avx512, Engine::Avx2, Engine::Single];

    /// The word that names it.
    pub const fn name(self) -> &'static str {
        match self {
            Engine::Avx512 => "avx512",
            Engine::Avx2 => "avx2",
            Engine::Single => "single",
        }
    }

    /// Whether this processor can run it.
    pub fn is_available(self) -> bool {
        self.kernel().is_some()
    }

    /// Those that this processor can run, widest first. [`Engine::Single`] is always among them.
    pub fn available() -> impl Iterator<Item = Engine> {
        Engine::ALL.into_iter().filter(|engine| engine.is_available())
    }

    /// The fastest that this processor can run.
    pub fn best() -> Engine {
        Engine::available().next().unwrap_or(Engine::Single)
    }

    /// The engine itself, if it can be used: an engine that was named by a person is asked this before it is used.
    pub fn checked(self) -> Result<Engine, EngineError> {
        if self.is_available() { Ok(self) } else { Err(EngineError::Unavailable(self)) }
    }

    /// What does the work; `None` where the processor cannot.
    pub(crate) fn kernel(self) -> Option<Kernel> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Engine::Avx512 => Avx512::proof().map(Kernel::Avx512),
            #[cfg(target_arch = "x86_64")]
            Engine::Avx2 => Avx2::proof().map(|proof| Kernel::Avx2 {
                proof,
                // Sixteen lanes of 256 bits gave SHA-256 0.7 times the rate of the SHA extensions, SHA-1 twice.
                sha256_in_lanes: !is_x86_feature_detected!("sha"),
            }),
            #[cfg(not(target_arch = "x86_64"))]
            Engine::Avx512 | Engine::Avx2 => None,
            Engine::Single => Some(Kernel::Single),
        }
    }
}

/// An engine of which it is proven that the processor has it.
#[derive(Clone, Copy)]
pub(crate) enum Kernel {
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2 {
        proof: Avx2,
        sha256_in_lanes: bool,
    },
    #[cfg(test)]
    Plain,
    Single,
}

impl Kernel {
    /// The functions that go through its lanes. The others are computed one message at a time.
    pub(crate) fn in_lanes(self) -> Wanted {
        match self {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(_) => Wanted::ALL,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 { sha256_in_lanes, .. } => Wanted { sha256: sha256_in_lanes, ..Wanted::ALL },
            #[cfg(test)]
            Kernel::Plain => Wanted::ALL,
            Kernel::Single => Wanted::default(),
        }
    }

    /// Runs a stretch of blocks in lanes.
    #[cfg_attr(not(any(target_arch = "x86_64", test)), allow(unused_variables, reason = "no vector engine"))]
    pub(crate) fn run(self, states: &mut States, stretch: &Stretch<'_>) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(proof) => proof.run(states, stretch),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 { proof, .. } => proof.run(states, stretch),
            #[cfg(test)]
            Kernel::Plain => crate::kernel::run::<crate::plain::Plain>((), states, stretch),
            Kernel::Single => unreachable!("nothing goes through its lanes"),
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Engine {
    type Err = EngineError;

    fn from_str(word: &str) -> Result<Engine, EngineError> {
        Engine::ALL
            .into_iter()
            .find(|engine| engine.name() == word)
            .ok_or_else(|| EngineError::Unknown(word.to_owned()))
    }
}

/// Why an engine that was asked for by name cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineError {
    /// There is none of this name.
    Unknown(String),
    /// The processor lacks the instructions, or the system does not keep the registers.
    Unavailable(Engine),
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EngineError::Unknown(word) => {
                write!(
                    f,
                    "no hashing engine is called {word:?}; there are {}",
                    Engine::ALL.map(Engine::name).join(", ")
                )
            }
            EngineError::Unavailable(engine) => {
                write!(f, "this processor cannot run the hashing engine {engine}")
            }
        }
    }
}

impl Error for EngineError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_known_by_its_name() {
        for engine in Engine::ALL {
            assert_eq!(engine.to_string().parse(), Ok(engine));
        }
        let error = "sse9".parse::<Engine>().unwrap_err();
        assert_eq!(error.to_string(), "no hashing engine is called \"sse9\"; there are avx512, avx2, single");
    }

    #[test]
    fn one_message_at_a_time_always_works_and_the_best_can_be_run() {
        assert_eq!(Engine::Single.checked(), Ok(Engine::Single));
        assert_eq!(Engine::best().checked(), Ok(Engine::best()));
        assert_eq!(Engine::available().last(), Some(Engine::Single));
    }

    #[test]
    fn an_engine_that_the_processor_lacks_is_refused() {
        for engine in Engine::ALL.into_iter().filter(|engine| !engine.is_available()) {
            assert_eq!(engine.checked(), Err(EngineError::Unavailable(engine)));
        }
        let error = EngineError::Unavailable(Engine::Avx2).to_string();
        assert_eq!(error, "this processor cannot run the hashing engine avx2");
    }
}
