//! Whose a key is.

use std::rc::Rc;

use super::Place;
use crate::program::Program;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub owner: Owner,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A config's storage.
    Config(i32),
    /// The cache of a plugin and team.
    Plugin { plugin: Rc<str>, team_id: Option<i32> },
}

impl Key {
    /// A key of the program.
    pub fn of(program: &Program, place: Place, name: String) -> Self {
        let owner = match place {
            Place::Storage => Owner::Config(program.id),
            Place::Cache => {
                let plugin = program.plugin.as_str().into();
                Owner::Plugin { plugin, team_id: program.team_id }
            }
        };
        Key { owner, name }
    }
}
