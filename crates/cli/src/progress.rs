//! Progress on a terminal: two lines, redrawn ten times a second from the pipeline's gauges. Nothing is drawn
//! where nobody looks.

use crate::commands::herald::Herald;
use crate::shell::{Terminal, day_and_time, say};
use hashsweep_model::Verdict;
use hashsweep_pipeline::{Gauges, Waiting};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Ten times a second looks alive and costs nothing.
const REDRAW: Duration = Duration::from_millis(100);

/// Columns below which a bar would leave no room for words.
const NARROW: usize = 60;

/// Between two lines where nothing is drawn. A log is read next morning; a line a minute shows where time went.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// The two lines. Dropping it wipes them off the screen.
pub(crate) struct Progress {
    drawn: MultiProgress,
    reading: ProgressBar,
    asking: ProgressBar,
    gauges: Arc<Gauges>,
    /// Whether rows of a list are read rather than files.
    lists: bool,
    /// Whether a line is said now and then where nothing is drawn.
    beats: bool,
    herald: Herald,
}

impl Progress {
    /// Draws on stderr, or not at all.
    pub(crate) fn new(terminal: &Terminal, gauges: Arc<Gauges>, lists: bool, herald: Herald) -> Progress {
        let target = if terminal.draws_progress() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let drawn = MultiProgress::with_draw_target(target);
        let reading = drawn.add(ProgressBar::new_spinner());
        let asking = drawn.add(ProgressBar::no_length());
        reading.set_style(style("{spinner} {elapsed:>4} {wide_msg}"));
        let is_narrow = terminal.width_of_stderr().is_some_and(|width| width < NARROW);
        asking.set_style(style(if is_narrow {
            "{human_pos}/{human_len} {wide_msg}"
        } else {
            "  asked {bar:20} {human_pos}/{human_len} {wide_msg}"
        }));
        Progress { drawn, reading, asking, gauges, lists, beats: terminal.beats(), herald }
    }

    /// Redraws until it is dropped.
    #[expect(clippy::disallowed_methods, reason = "a display waits for the next frame, not for the service")]
    pub(crate) async fn run(&mut self) {
        if !self.drawn.is_hidden() {
            loop {
                self.draw();
                for line in self.herald.news(&self.gauges) {
                    // Above the lines that are redrawn. If stderr is closed there is nobody left to tell.
                    let _ = self.drawn.println(line);
                }
                tokio::time::sleep(REDRAW).await;
            }
        }
        if self.beats {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                say(self.beat());
                self.herald.news(&self.gauges);
                while self.herald.is_looking() {
                    tokio::time::sleep(REDRAW).await;
                    self.herald.news(&self.gauges).iter().for_each(say);
                }
            }
        }
        std::future::pending::<()>().await;
    }

    /// `still at work: 4:00, 12,345 files hashed, 4.20 GB, asked 1,200 of 5,000, 3 malicious`
    fn beat(&self) -> String {
        let elapsed = self.reading.elapsed();
        let seconds = elapsed.as_secs_f64().max(0.001);
        let answered = self.gauges.answered.load(Relaxed) + self.gauges.failed.load(Relaxed);
        let all = answered + self.gauges.queued.load(Relaxed);
        let mut words = vec![
            format!("still at work: {}", clock(elapsed.as_secs())),
            self.reading_words(seconds),
            format!("asked {} of {}", thousands(answered), thousands(all)),
        ];
        words.extend(self.asking_words(answered, seconds).split(" · ").map(str::to_owned));
        words.retain(|word| !word.is_empty());
        words.join(", ")
    }

    fn draw(&self) {
        let seconds = self.reading.elapsed().as_secs_f64().max(0.001);
        self.reading.set_message(self.reading_words(seconds));
        self.reading.tick();
        let answered = self.gauges.answered.load(Relaxed) + self.gauges.failed.load(Relaxed);
        self.asking.set_length(answered + self.gauges.queued.load(Relaxed));
        self.asking.set_position(answered);
        self.asking.set_message(self.asking_words(answered, seconds));
        self.asking.tick();
    }

    fn reading_words(&self, seconds: f64) -> String {
        let source = &self.gauges.source;
        let rows = source.rows.load(Relaxed);
        if self.gauges.intake_finished.load(Relaxed) {
            return format!("{} rows read", thousands(rows));
        }
        if self.lists {
            return format!("{} rows read, {}/s", thousands(rows), per_second(rows, seconds));
        }
        let (files, bytes) = (source.files_hashed.load(Relaxed), source.bytes_hashed.load(Relaxed));
        #[expect(clippy::cast_precision_loss, reason = "a figure of three digits")]
        let (gigabytes, rate) = (bytes as f64 / 1e9, bytes as f64 / 1e9 / seconds);
        format!(
            "{} files hashed, {gigabytes:.2} GB, {}/s, {rate:.2} GB/s",
            thousands(files),
            per_second(files, seconds)
        )
    }

    fn asking_words(&self, answered: u64, seconds: f64) -> String {
        // A narrow terminal cuts the end off: first what somebody waits for, then what explains a standstill.
        let mut words = Vec::new();
        let queued = self.gauges.queued.load(Relaxed);
        let mut found: Vec<String> = Verdict::WORST_FIRST
            .into_iter()
            .map(|verdict| (self.gauges.verdicts(verdict), verdict))
            .filter(|(n, _)| *n > 0)
            .map(|(n, verdict)| format!("{} {verdict}", thousands(n)))
            .collect();
        if self.gauges.verdicts(Verdict::Malicious) > 0 {
            words.push(found.remove(0));
        }
        words.extend(match self.gauges.waiting() {
            Waiting::ForBackoff { until } => Some(format!("backoff until {}", local_time(until.0))),
            Waiting::ForQuota { until } => Some(format!("waiting for quota until {}", day_and_time(until))),
            Waiting::ForDigests => Some("waiting for digests".to_owned()),
            Waiting::ForAnother => Some("waiting for another process at this case".to_owned()),
            Waiting::ForPace => Some("at the set rate".to_owned()),
            Waiting::ForAnswers => None,
        });
        if self.gauges.intake_finished.load(Relaxed) && queued > 0 && answered > 0 {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "an estimate of seconds"
            )]
            let left = (queued as f64 / (answered as f64 / seconds)) as u64;
            words.push(format!("ETA {}", clock(left)));
        }
        words.extend(found);
        words.join(" · ")
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.reading.finish_and_clear();
        self.asking.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well formed").progress_chars("━╸─")
}

fn thousands(n: u64) -> String {
    indicatif::HumanCount(n).to_string()
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a figure for the eye"
)]
fn per_second(n: u64, seconds: f64) -> String {
    thousands((n as f64 / seconds) as u64)
}

fn clock(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// `hh:mm:ss` on the wall.
fn local_time(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis)
        .map(|at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string())
        .unwrap_or_default()
}
