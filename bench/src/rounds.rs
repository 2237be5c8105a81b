//! Rounds: every subject of a comparison takes its turn in each, and the order moves on.

use std::time::{Duration, Instant};

/// How long to measure.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    /// Events of 2 KB that a turn goes through.
    pub events: usize,
    /// Events of 20 KB.
    pub large_events: usize,
    /// Rows of a bulk insert.
    pub rows: usize,
    /// Sessions for a cold start.
    pub sessions: usize,
    /// Seconds of each run of pgbench.
    pub seconds: u32,
}

impl Effort {
    pub fn full() -> Self {
        Effort {
            rounds: 15,
            events: 10_000,
            large_events: 1_000,
            rows: 50_000,
            sessions: 21,
            seconds: 3,
        }
    }

    pub fn quick() -> Self {
        Effort {
            rounds: 5,
            events: 4_000,
            large_events: 400,
            rows: 20_000,
            sessions: 7,
            seconds: 1,
        }
    }
}

/// What takes turns with others.
pub struct Subject<'a> {
    pub name: String,
    /// One turn, over how many events it goes, and how long it took.
    turn: Box<dyn FnMut() -> Duration + 'a>,
    events: usize,
}

impl<'a> Subject<'a> {
    pub fn new(name: &str, events: usize, mut work: impl FnMut() + 'a) -> Self {
        let turn = move || {
            let begun = Instant::now();
            work();
            begun.elapsed()
        };
        Subject::timed(name, events, turn)
    }

    /// For work that measures itself.
    pub fn timed(name: &str, events: usize, turn: impl FnMut() -> Duration + 'a) -> Self {
        Subject { name: name.to_owned(), turn: Box::new(turn), events }
    }
}

/// What the turns of a subject came to.
#[derive(Clone)]
pub struct Measured {
    pub name: String,
    /// Microseconds for each event, round by round.
    rounds: Vec<f64>,
}

impl Measured {
    pub fn new(name: &str, rounds: Vec<f64>) -> Self {
        Measured { name: name.to_owned(), rounds }
    }

    pub fn median(&self) -> f64 {
        median(self.rounds.clone())
    }

    /// How many times as long as the other one, by the rounds that they shared.
    pub fn ratio_to(&self, other: &Measured) -> f64 {
        median(self.rounds.iter().zip(&other.rounds).map(|(own, other)| own / other).collect())
    }
}

/// Lets the subjects take turns, after one that does not count.
pub fn interleave(mut subjects: Vec<Subject<'_>>, rounds: usize) -> Vec<Measured> {
    let mut measured: Vec<Measured> =
        subjects.iter().map(|subject| Measured::new(&subject.name, Vec::new())).collect();
    for subject in &mut subjects {
        (subject.turn)();
    }
    for round in 0..rounds {
        for turn in 0..subjects.len() {
            let index = (round + turn) % subjects.len();
            let subject = &mut subjects[index];
            let took = (subject.turn)();
            measured[index].rounds.push(took.as_secs_f64() * 1e6 / subject.events as f64);
        }
    }
    measured
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count => values[count / 2],
    }
}
