//! One network for all consumers of a worker: each answer finds its way to whoever has asked.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Instant;

use engine::{Answer, Request};

use crate::network::Network;
use crate::settings;

/// As many as a busy consumer uses at once.
const IDLE_CONNECTIONS: usize = 100;

pub type Mailbox = RefCell<VecDeque<Answer>>;

pub struct Exchange {
    pub network: Network,
    /// Where the answers to requests under way go.
    mailboxes: RefCell<HashMap<u64, Rc<Mailbox>>>,
}

impl Default for Exchange {
    fn default() -> Self {
        Exchange {
            network: Network::new(settings::delivery_limits, IDLE_CONNECTIONS),
            mailboxes: RefCell::default(),
        }
    }
}

impl Exchange {
    /// Begins a request of a config; its answer goes to the mailbox.
    pub fn send(
        &self,
        config: i32,
        request: Request,
        mailbox: &Rc<Mailbox>,
    ) -> Result<u64, String> {
        let number = self.network.send(config, request)?;
        self.mailboxes.borrow_mut().insert(number, mailbox.clone());
        Ok(number)
    }

    /// Distributes what has been answered by now.
    pub fn collect(&self) {
        while self.network.is_busy()
            && let Some(answer) = self.network.next(Some(Instant::now()), &|| false)
        {
            let mailbox = self.mailboxes.borrow_mut().remove(&answer.request);
            if let Some(mailbox) = mailbox {
                mailbox.borrow_mut().push_back(answer);
            }
        }
    }

    pub fn cancel(&self, request: u64) {
        self.network.cancel(request);
        if let Some(mailbox) = self.mailboxes.borrow_mut().remove(&request) {
            mailbox.borrow_mut().retain(|answer| answer.request != request);
        }
    }
}
