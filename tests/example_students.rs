//! The example `students`: what it says of a file is what a loop over the students finds.
#![cfg(feature = "frame")]

#[path = "../examples/students/main.rs"]
mod students;

use students::{SCHOOLS, SUBJECTS, mark, marks, means, school, write_marks};

#[test]
fn means_are_those_of_the_marks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/students.csv");
    const STUDENTS: u64 = 3_000;
    write_marks(&path, STUDENTS).unwrap();
    let found = means(&marks(&path)).unwrap();
    assert_eq!(found.texts("school").unwrap(), SCHOOLS.map(|s| Some(s.to_owned())));
    let mean = |of: &[u64]| Some((of.iter().sum::<u64>() as f64 / of.len() as f64 * 100.0).round() / 100.0);
    let close = |a: Option<f64>, b: Option<f64>| (a.unwrap() - b.unwrap()).abs() < 0.0101;
    for (n, subject) in SUBJECTS.iter().enumerate() {
        for (place, found) in found.values::<f64>(subject).unwrap().into_iter().enumerate() {
            let of: Vec<u64> =
                (0..STUDENTS).filter(|s| school(*s) == place).filter_map(|s| mark(s, n)).collect();
            assert!(of.len() > 300 && of.iter().all(|m| *m <= 100));
            assert!(close(found, mean(&of)), "{subject} at {}: {found:?}", SCHOOLS[place]);
        }
    }
    let all: Vec<u64> = (0..STUDENTS)
        .filter(|s| school(*s) == 2)
        .flat_map(|s| (0..SUBJECTS.len()).filter_map(move |n| mark(s, n)))
        .collect();
    assert!(close(found.values::<f64>("all").unwrap()[2], mean(&all)));
    // some were ill
    let present = marks(&path).num_rows().unwrap();
    assert!(present < 4 * STUDENTS as usize && present > 37 * STUDENTS as usize / 10, "{present}");
}
