//! Marks of students: a CSV file of as many rows as wanted, and the mean mark of every school in every subject.
//!
//! ```text
//! cargo run --release --features frame --example students -- [ROWS] [FILE.csv]
//! ```
//!
//! The file is made first, of marks that are the same for every run. Each of its rows is a student, with a column for each subject; some
//! were ill and have no mark.

use blockwise::error::Result;
use blockwise::frame::{DataFrame, JoinKind, Table, col, scan_csv};
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where students go.
pub const SCHOOLS: [&str; 5] = ["Ada Lovelace", "Carl Gauß", "Emmy Noether", "Leonhard Euler", "Marie Curie"];
/// What they have marks in.
pub const SUBJECTS: [&str; 4] = ["mathematics", "physics", "languages", "art"];

/// A random number that depends on nothing but these two (splitmix64).
fn random(row: u64, what: u64) -> u64 {
    let mut z = row.wrapping_mul(8).wrapping_add(what).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The school of a student.
pub fn school(student: u64) -> usize {
    (random(student, 7) % SCHOOLS.len() as u64) as usize
}

/// A student's mark in a subject, from 0 to 100, unless ill that day. Three dice are nearer to a bell than one.
pub fn mark(student: u64, subject: usize) -> Option<u64> {
    let r = random(student, subject as u64);
    let die = |n: u32| (r >> (16 * n)) % 31;
    let better = 4 * ((school(student) + subject) % 3) as u64 / 2;
    (r >> 48 > 3276).then(|| die(0) + die(1) + die(2) + better + 6)
}

/// Writes the marks of so many students.
pub fn write_marks(path: &Path, students: u64) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut out = BufWriter::new(fs::File::create(path)?);
    writeln!(out, "student,school,{}", SUBJECTS.join(","))?;
    for student in 0..students {
        write!(out, "{student},{}", SCHOOLS[school(student)])?;
        for subject in 0..SUBJECTS.len() {
            match mark(student, subject) {
                Some(mark) => write!(out, ",{mark}")?,
                None => write!(out, ",")?,
            }
        }
        writeln!(out)?;
    }
    out.flush()
}

/// A row for every student and subject.
pub fn marks(path: &Path) -> DataFrame {
    scan_csv(path).unpivot_as(SUBJECTS, "school", "subject", "mark").drop_nulls("mark")
}

/// Mean marks: a row for each school, a column for each subject and for all of them.
pub fn means(marks: &DataFrame) -> Result<Table> {
    let all = marks.group_by("school").agg(col("mark").mean().round(2).alias("all"));
    let by_subject = marks.pivot("school", "subject", SUBJECTS, col("mark").mean().round(2));
    by_subject.join(&all, "school", JoinKind::Left).sort("school").collect()
}

#[allow(dead_code)]
fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let students: u64 = arguments.next().map_or(Ok(200_000), |n| n.parse())?;
    let path = arguments.next().map_or_else(|| PathBuf::from("out/students.csv"), PathBuf::from);

    let start = Instant::now();
    write_marks(&path, students)?;
    println!("{students} students in {} ({:.2} s)\n", path.display(), start.elapsed().as_secs_f64());

    let start = Instant::now();
    let marks = marks(&path);
    println!("Mean marks\n{}\n", means(&marks)?);
    let spread = marks.group_by("subject").agg([
        col("mark").min().alias("least"),
        col("mark").median().alias("median"),
        col("mark").max().alias("most"),
        col("mark").std().round(2).alias("std"),
    ]);
    println!("Subjects\n{}\n", spread.sort("subject").collect()?);
    println!("{:.2} s", start.elapsed().as_secs_f64());
    Ok(())
}
