//! `[[developers]]` and `[[scheduler.reservations]]`: people, and what is held for them.

use super::job;
use super::supply::delay;
use crate::fleet::Delay;
use crate::policies::placement::Needs;
use crate::scenario::kinds;
use crate::scenario::problem::{Place, Problem};
use crate::scenario::reader::TableReader;
use crate::scenario::reading::Sited;
use crate::units::{Duration, Instant};

/// Developers of one kind.
#[derive(Debug)]
pub struct RawDevelopers {
    pub name: Sited<String>,
    pub headcount: u32,
    pub sessions_per_day: f64,
    pub session: Delay,
    pub hours: (Duration, Duration),
    pub weekends: bool,
    pub accelerators: Sited<u32>,
    pub needs: Needs,
    pub pools: Vec<Sited<String>>,
    pub priority: i32,
    pub estimate: Option<Duration>,
    pub yields_within: Option<Duration>,
    pub place: Place,
}

/// Reads one kind of developers.
pub fn read(t: &mut TableReader<'_>) -> Option<RawDevelopers> {
    let doc = "What they are called: their queue; users are `NAME-1` and so on.";
    let name = t.required("name", &kinds::NAME, doc);
    let headcount = t.required("headcount", &kinds::COUNT, "How many people.");
    let doc = "Sessions that each opens on a working day, in the mean, at times without memory.";
    let sessions_per_day = t.required("sessions_per_day", &kinds::POSITIVE, doc);
    if !t.has("session") && !t.is_describing() {
        t.missing("session", "How long a session holds its cards", "a time such as \"2h\"");
    }
    let session = delay(t, "session", "How long a session holds its cards.");
    let from = t.or("from", &kinds::TIME_OF_DAY, "\"09:00\"", "When the working day begins.");
    let to = t.or("to", &kinds::TIME_OF_DAY, "\"18:00\"", "When it ends: no session is opened later.");
    let weekends = t.or("weekends", &kinds::BOOL, "false", "Whether they work on Saturdays and Sundays.");
    let accelerators = t.or("accelerators", &kinds::COUNT, "1", "Cards of a session.");
    let needs = job::needs(t);
    let doc = "Where sessions may run, in order of preference; every pool when absent.";
    let pools = t.list("pools", &kinds::REFERENCE, false, doc);
    let priority = t.or("priority", &kinds::PRIORITY, "0", "Higher goes first, under `priority`.");
    let doc = "How long a session is said to take, for backfilling; the true time when absent.";
    let estimate = t.optional("estimate", &kinds::POSITIVE_TIME, doc);
    let yields_within = job::yields_within(t);
    if t.is_describing() {
        return None;
    }
    let (from, to) = (from?, to?);
    if *from >= *to {
        let message = format!("the working day of {} ends before it begins", t.noun());
        t.problem(
            Problem::error(to.place, message).help("`from` must be earlier than `to`, as 09:00 and 18:00"),
        );
        return None;
    }
    Some(RawDevelopers {
        name: name?,
        headcount: *headcount?,
        sessions_per_day: *sessions_per_day?,
        session: session?,
        hours: (*from, *to),
        weekends: *weekends?,
        accelerators: accelerators?,
        needs: needs?,
        pools: pools?,
        priority: *priority?,
        estimate: estimate.map(|estimate| *estimate),
        yields_within,
        place: t.place,
    })
}

/// Nodes held for some.
#[derive(Debug)]
pub struct RawHold {
    pub name: Sited<String>,
    pub pool: Sited<String>,
    pub nodes: Sited<u32>,
    pub from: Instant,
    pub to: Instant,
    pub users: Vec<Sited<String>>,
    pub queues: Vec<Sited<String>>,
}

/// Reads one entry of the calendar.
pub fn hold(t: &mut TableReader<'_>) -> Option<RawHold> {
    let name = t.required("name", &kinds::NAME, "Its name.");
    let pool = t.required("pool", &kinds::REFERENCE, "The pool.");
    let nodes = t.required("nodes", &kinds::COUNT, "How many of its nodes, those with the highest numbers.");
    let from = t.required("from", &kinds::TIME, "From when they are held, from the run's beginning.");
    let to = t.required("to", &kinds::POSITIVE_TIME, "Until when.");
    let users = t.list("users", &kinds::REFERENCE, false, "For whose jobs.");
    let queues = t.list("queues", &kinds::REFERENCE, false, "For the jobs of which queues.");
    if t.is_describing() {
        return None;
    }
    let (name, from, to, users, queues) = (name?, from?, to?, users?, queues?);
    if *from >= *to {
        let message = format!("reservation `{}` ends before it begins", *name);
        t.problem(Problem::error(to.place, message).help("`from` must be earlier than `to`"));
        return None;
    }
    if users.is_empty() && queues.is_empty() {
        let message = format!("reservation `{}` is for nobody", *name);
        t.problem(
            Problem::error(name.place, message).help("give users = [\"ann\"] or queues = [\"research\"]"),
        );
        return None;
    }
    let (from, to) = (Instant::ZERO + *from, Instant::ZERO + *to);
    Some(RawHold { name, pool: pool?, nodes: nodes?, from, to, users, queues })
}
