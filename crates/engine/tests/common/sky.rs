//! A host for flights: requests are answered when and in the order in which a test says so, and nothing
//! may wait.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use engine::store::Refusal;
use engine::{
    Answer, Call, Cause, Failure, Flight, Host, Limits, LogLine, Program, Request, Response,
    Return, Task, Ticket,
};

use super::{program, to_jsonb};

#[derive(Default)]
pub struct Sky {
    /// What was sent and has not ended, by number.
    pub under_way: RefCell<BTreeMap<u64, Request>>,
    pub sent: Cell<u64>,
    pub cancelled: RefCell<Vec<u64>>,
    pub lines: RefCell<Vec<String>>,
    pub left: RefCell<Vec<(Task, Cause)>>,
    pub stop: Cell<bool>,
    ready: RefCell<VecDeque<Answer>>,
}

impl Sky {
    /// Has a request answered with its own body, or with its address if it has none.
    pub fn answer(&self, number: u64) {
        let request = self.under_way.borrow_mut().remove(&number).unwrap();
        let body = if request.body.is_empty() { request.url.clone().into() } else { request.body };
        let response = Response {
            status: 200,
            status_text: String::new(),
            headers: Vec::new(),
            body,
            url: request.url,
            redirected: false,
        };
        self.ready.borrow_mut().push_back(Answer { request: number, result: Ok(response) });
    }

    pub fn answer_all(&self) {
        let numbers: Vec<u64> = self.under_way.borrow().keys().copied().collect();
        numbers.into_iter().for_each(|number| self.answer(number));
    }

    pub fn fail(&self, number: u64) {
        self.under_way.borrow_mut().remove(&number).unwrap();
        let result = Err("the line is down".to_owned());
        self.ready.borrow_mut().push_back(Answer { request: number, result });
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }
}

impl Host for Sky {
    fn interrupted(&self) -> bool {
        self.stop.get()
    }

    fn log(&self, line: LogLine<'_>) {
        self.lines.borrow_mut().push(format!("{} {}", line.level, line.message));
    }

    fn send(&self, _program: i32, request: Request) -> Result<u64, String> {
        let number = self.sent.get();
        self.sent.set(number + 1);
        self.under_way.borrow_mut().insert(number, request);
        Ok(number)
    }

    fn next_answer(&self, until: Option<Instant>) -> Option<Answer> {
        assert!(until.is_some_and(|until| until <= Instant::now()), "a flight waits");
        self.ready.borrow_mut().pop_front()
    }

    fn sleep(&self, _: Instant) {
        panic!("a flight sleeps");
    }

    fn leave(&self, _program: &Program, task: Task, cause: Cause) -> Result<(), Refusal> {
        self.left.borrow_mut().push((task, cause));
        Ok(())
    }

    fn cancel(&self, request: u64) {
        self.under_way.borrow_mut().remove(&request);
        self.cancelled.borrow_mut().push(request);
    }
}

pub type Ended = (Ticket, Result<Return, Failure>);

/// A flight of one script.
pub struct Pilot {
    pub flight: Flight,
    pub host: Rc<Sky>,
}

/// As long as nothing takes in a test that does well.
pub const LONG: Duration = Duration::from_secs(60);

impl Pilot {
    pub fn of(script: &str) -> Self {
        Pilot::with(program(1, script), Limits::default())
    }

    pub fn with(program: Program, limits: Limits) -> Self {
        let host = Rc::new(Sky::default());
        let flight = Flight::new(host.clone(), Rc::new(program), limits);
        Pilot { flight, host }
    }

    pub fn event(&mut self, event: &str) -> Ticket {
        self.flight.begin(Call::OnEvent(to_jsonb(event)), LONG)
    }

    /// Turns until there is nothing to be done before somebody answers. Sleeps for timers.
    pub fn turn(&mut self) -> Vec<Ended> {
        let mut ended = self.flight.turn();
        let far = Instant::now() + Duration::from_secs(10);
        while let Some(at) = self.flight.wake_at()
            && at < far
        {
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            ended.extend(self.flight.turn());
        }
        ended
    }

    /// What one call comes to whose requests are all answered.
    pub fn run(&mut self, call: Call) -> Result<Return, Failure> {
        let ticket = self.flight.begin(call, LONG);
        for _ in 0..1000 {
            let ended = self.turn();
            if let Some((_, result)) = ended.into_iter().find(|(other, _)| *other == ticket) {
                return result;
            }
            self.host.answer_all();
        }
        panic!("the call does not end");
    }

    /// The last line that the script has logged.
    pub fn said(&self) -> String {
        self.host.lines.borrow().last().cloned().unwrap_or_default()
    }
}
