//! What was measured: a table for people, one JSON object a line for programs.

use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// One measurement.
#[derive(Clone, Debug, Default)]
pub struct Line {
    pub row: String,
    /// "into", "fresh" or "file".
    pub mode: String,
    /// "blockwise", "ceiling" or a peer's name.
    pub engine: String,
    pub threads: usize,
    /// `None` if it failed.
    pub seconds: Option<f64>,
    /// `None` where memory is not what bounds the row.
    pub gb_per_s: Option<f64>,
    /// `None` for ceilings.
    pub checked: Option<bool>,
    /// Further keys.
    pub extra: Map<String, Value>,
}

impl Line {
    /// A measurement of ours or of a ceiling.
    pub fn new(row: &str, mode: &str, engine: &str, threads: usize) -> Line {
        Line { row: row.into(), mode: mode.into(), engine: engine.into(), threads, ..Line::default() }
    }

    /// The seconds, and the traffic that went by in them.
    pub fn took(mut self, seconds: f64, bytes: Option<f64>) -> Line {
        self.seconds = Some(seconds);
        self.gb_per_s = bytes.map(|b| b / seconds / 1e9);
        self
    }

    /// Whether the result was right; if not, why.
    pub fn checked(mut self, wrong: Option<String>) -> Line {
        self.checked = Some(wrong.is_none());
        if let Some(why) = wrong {
            self = self.with("error", why);
        }
        self
    }

    /// A further key.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Line {
        self.extra.insert(key.into(), value.into());
        self
    }

    /// A line as peers print it.
    pub fn from_json(text: &str) -> Option<Line> {
        let mut all: Map<String, Value> = serde_json::from_str(text).ok()?;
        let text = |v: Option<Value>| v.and_then(|v| v.as_str().map(str::to_owned));
        Some(Line {
            row: text(all.remove("row"))?,
            mode: text(all.remove("mode"))?,
            engine: text(all.remove("engine"))?,
            threads: all.remove("threads")?.as_u64()? as usize,
            seconds: all.remove("seconds")?.as_f64(),
            gb_per_s: all.remove("gb_per_s").and_then(|v| v.as_f64()),
            checked: all.remove("checked")?.as_bool(),
            extra: all,
        })
    }

    fn json(&self, share: Option<f64>) -> Value {
        let mut line = json!({
            "row": self.row,
            "mode": self.mode,
            "engine": self.engine,
            "threads": self.threads,
            "seconds": self.seconds,
            "gb_per_s": self.gb_per_s,
            "ceiling_share": share,
            "checked": self.checked,
        });
        if let Some(object) = line.as_object_mut() {
            object.extend(self.extra.clone());
        }
        line
    }
}

/// Prints, writes and remembers what went wrong.
pub struct Report {
    file: Option<BufWriter<File>>,
    /// Results of ours that are wrong or missing.
    pub failures: Vec<String>,
}

impl Report {
    /// Starts the table, and the file if there is one.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn new(path: Option<&Path>) -> std::io::Result<Report> {
        println!(
            "{:<14} {:<6} {:<13} {:>11} {:>8} {:>8} {:<8} {:<26} notes",
            "row", "mode", "engine", "seconds", "GB/s", "ceiling", "checked", "ours / best peer"
        );
        Ok(Report { file: path.map(File::create).transpose()?.map(BufWriter::new), failures: vec![] })
    }

    /// Writes a JSON object to the file only.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn record(&mut self, object: &Value) -> std::io::Result<()> {
        match &mut self.file {
            Some(file) => writeln!(file, "{object}").and_then(|()| file.flush()),
            None => Ok(()),
        }
    }

    /// Adds all measurements of a row: ceilings, ours and those of peers.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add(&mut self, lines: &[Line]) -> std::io::Result<()> {
        for line in lines {
            let ceiling = lines.iter().find(|l| l.engine == "ceiling" && l.mode == line.mode);
            let share = ceiling.and_then(|c| Some(line.gb_per_s? / c.gb_per_s?));
            let ours = line.engine == "blockwise";
            let peer = if ours { best_peer(lines, line) } else { None };
            let mut object = line.json(share);
            let mut ratio = String::new();
            if let (Some((peer, theirs)), Some(seconds)) = (peer, line.seconds) {
                // of another mode only if there is none of this one, and then it says so
                let name = match peer.mode == line.mode {
                    true => peer.engine.clone(),
                    false => format!("{} ({})", peer.engine, peer.mode),
                };
                ratio = format!("{:.2} {name}", seconds / theirs);
                object["best_peer"] = name.into();
                object["ratio"] = (seconds / theirs).into();
            }
            self.record(&object)?;
            if ours && line.checked != Some(true) {
                let why = line.extra.get("error").map(Value::to_string).unwrap_or_default();
                self.failures.push(format!("{} {}: {why}", line.row, line.mode));
            }
            let number =
                |v: Option<f64>, digits: usize| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.digits$}"));
            let checked = line.checked.map_or("", |c| if c { "yes" } else { "NO" });
            let row = format!(
                "{:<14} {:<6} {:<13} {:>11} {:>8} {:>8} {:<8} {:<26} {}",
                line.row,
                line.mode,
                line.engine,
                number(line.seconds, 6),
                number(line.gb_per_s, 2),
                share.map_or_else(|| "-".to_owned(), |s| format!("{:.1} %", s * 100.0)),
                checked,
                ratio,
                notes(&line.extra),
            );
            println!("{}", row.trim_end());
        }
        Ok(())
    }
}

/// The fastest peer whose result was right, and its seconds.
fn best_peer<'a>(lines: &'a [Line], ours: &Line) -> Option<(&'a Line, f64)> {
    let fastest = |same: bool| {
        lines
            .iter()
            .filter(|l| !["blockwise", "ceiling"].contains(&l.engine.as_str()))
            .filter(|l| l.checked == Some(true) && (!same || l.mode == ours.mode))
            .filter_map(|l| Some((l, l.seconds?)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
    };
    fastest(true).or_else(|| fastest(false))
}

/// Further keys in the table's last column.
fn notes(extra: &Map<String, Value>) -> String {
    let word = |v: &Value| match v {
        Value::Number(n) if n.is_f64() => format!("{:.3}", n.as_f64().unwrap_or_default()),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    };
    extra.iter().map(|(k, v)| format!("{k}={}", word(v))).collect::<Vec<_>>().join(" ")
}
