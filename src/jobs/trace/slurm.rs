//! Slurm: what `sacct --parsable2` (or `-P`) prints, with the columns JobID, Submit and Elapsed or
//! ElapsedRaw, and as far as they are there User, Account, Partition, State, Timelimit or TimelimitRaw,
//! Priority, and ReqTRES or AllocTRES or ReqGRES or AllocGRES (man page of sacct, Slurm 23). Cards are
//! `gres/gpu` of the TRES (with or without a type), or `gpu` of the GRES; jobs without any are work of the
//! hosts alone. Rows of job steps (`123.batch`) are passed over.

use super::columns::{Fields, Row};

pub(super) const NEEDED: [&str; 2] = ["JobID", "Submit"];

/// A job; nothing for a step of one.
pub(super) fn row(fields: &Fields<'_>) -> Result<Option<Row>, String> {
    let id = fields.text("JobID");
    if id.contains('.') {
        return Ok(None);
    }
    let first = |names: &[&str]| names.iter().map(|name| fields.text(name)).find(|text| !text.is_empty());
    let tres = first(&["ReqTRES", "AllocTRES"]).unwrap_or_default();
    let gres = first(&["ReqGRES", "AllocGRES"]).unwrap_or_default();
    let (of_tres, of_gres) = (tres_cards(tres)?, gres_cards(gres)?);
    let (cards, accelerator_type) = if of_tres.0 > 0 { of_tres } else { of_gres };
    let part =
        |name: &str| tres.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
    let elapsed = match (fields.text("ElapsedRaw"), fields.text("Elapsed")) {
        ("", "") => return Err("`Elapsed` is missing".to_owned()),
        ("", text) => clock(text).ok_or_else(|| format!("`Elapsed` is `{text}`, not [D-]HH:MM:SS"))?,
        (raw, _) => raw.parse().map_err(|_| format!("`ElapsedRaw` is `{raw}`, not a number of seconds"))?,
    };
    let state = fields.text("State");
    if state.starts_with("PENDING") || state.starts_with("RUNNING") {
        return Err(format!("it is {}: how long it takes is not known", state.to_lowercase()));
    }
    if elapsed == 0.0 {
        return Err(format!("it never ran (state `{state}`)"));
    }
    let limit = match (fields.text("TimelimitRaw"), fields.text("Timelimit")) {
        ("", text) => clock(text),
        (minutes, _) => minutes.parse::<f64>().ok().map(|minutes| 60.0 * minutes),
    };
    let memory =
        part("mem").map(|text| size_mib(text).ok_or_else(|| format!("`mem` is `{text}`, not a size")));
    let cpus = part("cpu").map(|text| text.parse().map_err(|_| format!("`cpu` is `{text}`, not a number")));
    Ok(Some(Row {
        id: id.to_owned(),
        submit_s: super::columns::date("Submit", fields.text("Submit"))?,
        duration_s: elapsed,
        cards,
        user: fields.text("User").to_owned(),
        queue: first(&["Partition", "Account"]).unwrap_or_default().to_owned(),
        priority: fields.text("Priority").parse::<u32>().map_or(0, |priority| (priority >> 1) as i32),
        estimate_s: limit,
        accelerator_type,
        cpus: cpus.transpose()?.unwrap_or(0.0),
        memory_mib: memory.transpose()?.unwrap_or(0.0),
        hosts: cards == 0,
        ..Row::default()
    }))
}

/// `gres/gpu:a100=8` or `gres/gpu=8` of a list of TRES: the typed entries when there are any, otherwise the
/// plain one.
fn tres_cards(text: &str) -> Result<(u32, String), String> {
    let (mut plain, mut typed) = (0, (0, String::new()));
    for part in text.split(',') {
        let Some((name, count)) = part.trim().split_once('=') else { continue };
        let Some(rest) = name.strip_prefix("gres/gpu") else { continue };
        let count = count.parse().map_err(|_| format!("`{part}` is no number of cards"))?;
        match rest.strip_prefix(':') {
            None if rest.is_empty() => plain = count,
            None => {}
            Some(kind) => typed = (typed.0 + count, kind.to_owned()),
        }
    }
    Ok(if typed.0 > 0 { typed } else { (plain, String::new()) })
}

/// `gpu:a100:8`, `gpu:8` or `gres:gpu:8` of a list of GRES.
fn gres_cards(text: &str) -> Result<(u32, String), String> {
    for part in text.split(',') {
        let part = part.trim();
        let mut words = part.strip_prefix("gres:").unwrap_or(part).split(['(', ':']);
        if words.next() != Some("gpu") {
            continue;
        }
        let (first, second) = (words.next().unwrap_or("1"), words.next());
        let count = |text: &str| text.parse::<u32>().map_err(|_| format!("`{part}` is no number of cards"));
        return match second.map(str::parse::<u32>) {
            Some(Ok(cards)) => Ok((cards, first.to_owned())),
            _ => Ok((count(first)?, String::new())),
        };
    }
    Ok((0, String::new()))
}

/// `[DD-]HH:MM:SS` or `MM:SS` in seconds.
fn clock(text: &str) -> Option<f64> {
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (days.parse::<f64>().ok()?, rest),
        None => (0.0, text),
    };
    let parts: Vec<f64> = rest.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let seconds = match parts[..] {
        [hours, minutes, seconds] => hours * 3600.0 + minutes * 60.0 + seconds,
        [minutes, seconds] => minutes * 60.0 + seconds,
        _ => return None,
    };
    Some(days * 86_400.0 + seconds)
}

/// `64G`, `512M`, `1.5T` in MiB; a number alone is in MiB.
pub(super) fn size_mib(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "M" | "Mi" | "MiB" => 1.0,
        "K" | "Ki" => 1.0 / 1024.0,
        "G" | "Gi" | "GiB" => 1024.0,
        "T" | "Ti" => 1_048_576.0,
        _ => return None,
    };
    digits.parse::<f64>().ok().map(|number| number * factor)
}
