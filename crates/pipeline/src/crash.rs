//! Named moments at which a test may end the process, as a kill or a power cut would: nothing is flushed, nothing
//! dropped. A release build has none of them.

/// A moment at which something is done on one side and not yet on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Rows are recorded in a transaction that is not committed.
    Recording,
    /// The account knows of a group's requests, the case does not.
    Held,
    /// Both know, and nobody has been told yet.
    Reserved,
    /// A request is on its way.
    Sent,
    /// Its answer has come, and nothing is settled.
    Answered,
    /// Reports are about to be put in place.
    Reporting,
}

#[cfg(debug_assertions)]
mod armed {
    use super::Moment;
    use std::io::Write;
    use std::sync::Mutex;

    static ARMED: Mutex<Option<(Moment, u32)>> = Mutex::new(None);

    /// Ends the process when this moment comes for the `n`th time, written `held:3`.
    pub fn arm(text: &str) -> Result<(), String> {
        let (name, n) = text.split_once(':').ok_or("a moment is written NAME:N")?;
        let moment = match name {
            "recording" => Moment::Recording,
            "held" => Moment::Held,
            "reserved" => Moment::Reserved,
            "sent" => Moment::Sent,
            "answered" => Moment::Answered,
            "reporting" => Moment::Reporting,
            _ => return Err(format!("there is no moment named {name}")),
        };
        let n = n.parse().map_err(|_| format!("'{n}' is no number of times"))?;
        *ARMED.lock().map_err(|e| e.to_string())? = Some((moment, n));
        Ok(())
    }

    /// This moment has come.
    pub fn point(moment: Moment) {
        let Ok(mut armed) = ARMED.lock() else { return };
        if let Some((at, left)) = armed.as_mut().filter(|(at, _)| *at == moment) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                let _ = writeln!(std::io::stderr(), "ended at {at:?}, as a test asked");
                std::process::abort();
            }
        }
    }
}

#[cfg(debug_assertions)]
pub use armed::{arm, point};

/// This moment has come; in a release build that means nothing.
#[cfg(not(debug_assertions))]
pub fn point(_: Moment) {}
