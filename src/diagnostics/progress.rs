//! [`ProgressBar`]: how far a run is, on the terminal.

use crate::block::pool;
use crate::config::format_bytes;
use crate::event::{Event, Observer};
use indicatif::{ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(100);
/// Runs that end before this are not worth a bar.
const PATIENCE: Duration = Duration::from_millis(300);

/// A line on standard error: time, tasks done of total, bytes read and written per second, memory in use, stage.
///
/// It shows nothing, and costs nothing, where standard error is not a terminal. It appears after 0.3 s and goes when the run
/// ends, so that short runs leave no trace. Between draws a finished task costs three atomic additions.
///
/// Runs of one session take turns; a bar that is given to two sessions shows the run that began last.
pub struct ProgressBar {
    on: bool,
    run: Mutex<Option<indicatif::ProgressBar>>,
    /// Tasks done and bytes moved in this run.
    tasks: AtomicU64,
    bytes: Arc<AtomicU64>,
    /// Tasks of which workers of a cluster have reported.
    reported: AtomicU64,
}

impl ProgressBar {
    /// A bar on standard error if that is a terminal.
    pub fn new() -> ProgressBar {
        ProgressBar::shown(std::io::stderr().is_terminal())
    }

    fn shown(on: bool) -> ProgressBar {
        let (tasks, reported) = (AtomicU64::new(0), AtomicU64::new(0));
        ProgressBar { on, run: Mutex::default(), tasks, bytes: Arc::default(), reported }
    }

    fn lock(&self) -> MutexGuard<'_, Option<indicatif::ProgressBar>> {
        self.run.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn style(&self, stages: usize) -> ProgressStyle {
        let stage = if stages > 1 { "  {wide_msg}" } else { "" };
        let template = format!(
            "{{elapsed_precise}} {{bar:32.green/black.bright}} {{done}} of {{len}} tasks  {{rate}}  {{memory}} in use{stage}"
        );
        let bytes = self.bytes.clone();
        let rate = move |state: &ProgressState, out: &mut dyn Write| {
            let seconds = state.elapsed().as_secs_f64().max(1e-3);
            let _ = write!(out, "{}/s", format_bytes((bytes.load(Relaxed) as f64 / seconds) as u64));
        };
        let memory = |_: &ProgressState, out: &mut dyn Write| {
            let _ = out.write_str(&format_bytes(pool().allocated() as u64));
        };
        let done = |state: &ProgressState, out: &mut dyn Write| {
            let _ = write!(out, "{}", state.pos());
        };
        // the template is ours and parses; were it not to, a plain bar would do
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        style.progress_chars("━╸━").with_key("rate", rate).with_key("memory", memory).with_key("done", done)
    }

    fn start(&self, stages: usize, tasks: usize) {
        self.tasks.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
        self.reported.store(0, Relaxed);
        let bar = indicatif::ProgressBar::with_draw_target(Some(tasks as u64), ProgressDrawTarget::hidden());
        bar.set_style(self.style(stages));
        *self.lock() = Some(bar);
    }

    fn stage(&self, stage: usize, label: &str) {
        let guard = self.lock();
        if let Some(bar) = &*guard {
            bar.set_message(format!("stage {stage}: {label}"));
        }
    }

    /// Most tasks only count; few find that it is time to draw.
    fn tasks(&self, count: usize, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
        let done = self.tasks.fetch_add(count as u64, Relaxed) + count as u64;
        // another task draws: this one's number comes with the next
        let Ok(guard) = self.run.try_lock() else { return };
        let Some(bar) = &*guard else { return };
        if bar.is_hidden() && bar.elapsed() >= PATIENCE {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
        }
        bar.set_position(done);
    }
}

impl Default for ProgressBar {
    fn default() -> ProgressBar {
        ProgressBar::new()
    }
}

impl Observer for ProgressBar {
    fn event(&self, event: &Event) {
        if !self.on {
            return;
        }
        match event {
            Event::RunStarted { stages, tasks } => self.start(*stages, *tasks),
            Event::StageStarted { stage, label, .. } => self.stage(*stage, label),
            Event::TaskFinished { bytes_read, bytes_written, .. } => {
                self.tasks(1, bytes_read + bytes_written)
            }
            Event::RunFinished(_) => {
                if let Some(bar) = self.lock().take() {
                    bar.finish_and_clear();
                }
            }
            Event::StageFinished { .. } => {}
            Event::ShardStarted { stage, worker, .. } => self.stage(*stage, &format!("on {worker}")),
            Event::ShardFinished { tasks, .. } => self.tasks(*tasks, 0),
            Event::ShardReport { tasks, bytes_read, bytes_written, .. } => {
                // most have been seen to finish before they are reported of
                let reported = self.reported.fetch_add(*tasks as u64, Relaxed) + *tasks as u64;
                let unseen = reported.saturating_sub(self.tasks.load(Relaxed));
                self.tasks(unseen as usize, bytes_read + bytes_written);
            }
            Event::SubmittedAgain { why } => eprintln!("submitted again: {why}"),
            Event::Fallback { why } => eprintln!("ran on the CPU: {why}"),
        }
    }

    fn wants_tasks(&self) -> bool {
        self.on
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Summary;
    use std::time::Instant;

    #[test]
    fn it_is_off_where_it_cannot_be_seen() {
        assert!(!ProgressBar::shown(false).wants_tasks());
    }

    #[test]
    fn parts_on_a_cluster_count_once() {
        let bar = ProgressBar::shown(true);
        bar.event(&Event::RunStarted { stages: 1, tasks: 9 });
        let worker = || "w".to_owned();
        let elapsed = Duration::ZERO;
        bar.event(&Event::ShardStarted { stage: 0, shard: 0, worker: worker(), tasks: 5 });
        bar.event(&Event::ShardFinished { stage: 0, shard: 0, worker: worker(), tasks: 5, elapsed });
        let position = || bar.lock().as_ref().map(|b| b.position());
        assert_eq!(position(), Some(5));
        for (shard, tasks) in [(0, 5), (1, 4)] {
            let (bytes_read, bytes_written) = (10, 1);
            let worker = worker();
            bar.event(&Event::ShardReport {
                stage: 0,
                shard,
                worker,
                tasks,
                elapsed,
                bytes_read,
                bytes_written,
            });
        }
        assert_eq!((position(), bar.bytes.load(Relaxed)), (Some(9), 22));
    }

    #[test]
    fn it_counts_tasks_and_goes_when_the_run_ends() {
        let bar = ProgressBar::shown(true);
        bar.event(&Event::RunStarted { stages: 2, tasks: 5 });
        bar.event(&Event::StageStarted { stage: 0, tasks: 5, workers: 1, label: "sum".into() });
        for task in 0..3 {
            let (start, elapsed) = (Instant::now(), Duration::ZERO);
            bar.event(&Event::TaskFinished {
                stage: 0,
                task,
                worker: 0,
                start,
                elapsed,
                bytes_read: 10,
                bytes_written: 1,
            });
        }
        assert_eq!(bar.lock().as_ref().map(|b| b.position()), Some(3));
        assert_eq!(bar.bytes.load(Relaxed), 33);
        bar.event(&Event::RunFinished(Summary::default()));
        assert!(bar.lock().is_none());
    }
}
