//! What a session's kernels could not do on their device.

use blockwise::event::{Event, Observer};
use std::sync::Mutex;

/// Keeps why kernels ran elsewhere.
#[derive(Default)]
pub struct Fallbacks(pub Mutex<Vec<String>>);

impl Observer for Fallbacks {
    fn event(&self, event: &Event) {
        if let Event::Fallback { why } = event {
            self.0.lock().expect("nobody panics here").push(why.to_string());
        }
    }
}
